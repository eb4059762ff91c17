"""Populations of treasury companies from packaged files: every figure with its date, source and grade.

A file `treasuries/NAME.toml` has a list `company`; a figure is a table {value, date, grade, source}. Grades as for all
parameters; what nobody published is graded "assumed" and says so. Values are read; the rest is for people and tests.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from abm.parameters import Parameters, quantity
from abm.traders.treasury_sheet import TreasuryParameters

FOLDER = Path(__file__).resolve().parent / "treasuries"


def population_names() -> list[str]:
    """Names of the packaged populations."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def population_table(name: str) -> dict[str, Any]:
    """The file of a population as it stands: `title`, `price_usd`, `company`. Raises ValueError for an unknown name."""
    path = FOLDER / f"{name}.toml"
    if name not in population_names():
        raise ValueError(f"{name}: no such population of companies; known: {', '.join(population_names())}")
    return tomllib.loads(path.read_text(encoding="utf-8"))


def plain_company(table: Mapping[str, Any], price_usd: float) -> dict[str, Any]:
    """The parameters of one company of a file: figures without their sources.

    `premium` (market value over coins) becomes mNAV, enterprise value over coins, at `price_usd`.
    """
    company = {key: _plain(value) for key, value in table.items() if key != "remark"}
    premium = company.pop("premium", None)
    if premium is not None:
        sheet = TreasuryParameters.model_validate(company)
        own = sheet.claims_usd - sheet.cash_usd
        company["mnav"] = company["mnav_mean"] = round(premium + own / (sheet.coins * price_usd), 4)
    return company


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _plain(value["value"]) if "value" in value else {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, datetime) else value


class AssumedLoan(Parameters):
    """A stress case: a secured loan that no company of the population has, on the coins they could pledge.

    Company i of n (in the order of the file, `except_names` left out) gets LTV low + (high - low) (i + 1/2) / n at the
    price `price_usd`, instead of the loan in the file.
    """

    price_usd: float = quantity(..., unit="$", source="price at the start of the stress case", gt=0.0)
    ltv_low: float = quantity(0.4, unit="-", source="assumed: stress case", gt=0.0, lt=1.0)
    ltv_high: float = quantity(0.55, unit="-", source="assumed: stress case", gt=0.0, lt=1.0)
    ltv_limit: float = quantity(0.6, unit="-", source="assumed: stress case", gt=0.0, lt=1.0, likely=(0.5, 0.8))
    ltv_target: float = quantity(0.5, unit="-", source="assumed: stress case", gt=0.0, lt=1.0)
    except_names: tuple[str, ...] = Field(default=(), description="companies that keep what they have")


class TreasuriesParameters(Parameters):
    """A population of treasury companies: a packaged one, or companies given one by one."""

    population: str = Field(default="", description="name of a packaged population, read where `companies` is empty")
    companies: tuple[TreasuryParameters, ...] = Field(
        default=(), description="the companies; filled in from `population`"
    )
    common: dict[str, Any] = Field(default={}, description="parameters that all companies of the population share")
    changes: dict[str, dict[str, Any]] = Field(default={}, description="parameters of single companies, by their name")
    assumed_loan: AssumedLoan | None = None

    @model_validator(mode="after")
    def _filled_in(self) -> Self:
        """Write the companies of the population out, so that a resolved scenario holds them all."""
        if self.companies or not self.population:
            return self
        table = population_table(self.population)
        companies = [plain_company(company, table["price_usd"]) for company in table["company"]]
        if self.assumed_loan is not None:
            companies = _with_loans(companies, self.assumed_loan)
        if unknown := sorted(set(self.changes) - {company["name"] for company in companies}):
            raise ValueError(f"changes: no company {', '.join(unknown)} in {self.population}")
        written = [{**company, **self.common, **self.changes.get(company["name"], {})} for company in companies]
        object.__setattr__(self, "companies", tuple(TreasuryParameters.model_validate(one) for one in written))
        return self


def _with_loans(companies: list[dict[str, Any]], loan: AssumedLoan) -> list[dict[str, Any]]:
    unknown = set(loan.except_names) - {company["name"] for company in companies}
    if unknown:
        raise ValueError(f"except_names: no company {', '.join(sorted(unknown))}")
    touched = [company for company in companies if company["name"] not in loan.except_names]
    for i, company in enumerate(touched):
        ltv = loan.ltv_low + (loan.ltv_high - loan.ltv_low) * (i + 0.5) / len(touched)
        free = TreasuryParameters.model_validate({**company, "debt_usd": 0.0, "pledged_coins": None}).free_coins
        company |= {
            "debt_usd": round(ltv * free * loan.price_usd),
            "pledged_coins": None,
            "ltv_limit": loan.ltv_limit,
            "ltv_target": loan.ltv_target,
        }
    return companies


def load_population(name: str) -> tuple[TreasuryParameters, ...]:
    """The companies of a packaged population."""
    return TreasuriesParameters.model_validate({"population": name}).companies
