"""The policies of a scenario, and the calls that carry them out."""

from __future__ import annotations

from typing import Any, TypeVar

from abm.parameters import Parameters
from abm.policies.circuit_breaker import CircuitBreaker
from abm.policies.disclosure import Disclosure
from abm.policies.dynamic_margin import DynamicMargin
from abm.policies.fund_capital import FundCapital
from abm.policies.leverage import InitialMarginFloor, LeverageCap
from abm.policies.maker_obligation import MakerObligation
from abm.state import Markets
from abm.traders.makers import MakersParameters
from abm.venues.exchange import Exchanges

P = TypeVar("P", bound=Parameters)


class Policies(Parameters):
    """What is switched on; none by default."""

    leverage_cap: LeverageCap | None = None
    initial_margin: InitialMarginFloor | None = None
    circuit_breaker: CircuitBreaker | None = None
    maker_obligation: MakerObligation | None = None
    fund_capital: FundCapital | None = None
    disclosure: Disclosure | None = None
    dynamic_margin: DynamicMargin | None = None


class PolicyBook:
    """Carries out the policies of one model. Their state is its own: the scenario's objects are copied."""

    def __init__(self, policies: Policies) -> None:
        copy = policies.model_copy(deep=True)
        self.every: list[Any] = [value for name in Policies.model_fields if (value := getattr(copy, name)) is not None]
        self._after_mark = [policy for policy in self.every if hasattr(policy, "after_mark")]

    @property
    def disclosure(self) -> Disclosure | None:
        """What publishes liquidation prices, if anything does."""
        return next((policy for policy in self.every if isinstance(policy, Disclosure)), None)

    def prepare(self, markets: Markets) -> None:
        """Change what venues allow, before anybody opens a position."""
        self._call("prepare", markets)

    def oblige(self, makers: MakersParameters) -> MakersParameters:
        """Makers under their obligation, if there is one."""
        for policy in self.every:
            if isinstance(policy, MakerObligation):
                makers = policy.oblige(makers)
        return makers

    def obeying(self, professionals: P) -> P:
        """The same parameters with no leverage above what the policies leave."""
        cap = min((policy.cap for policy in self.every if hasattr(policy, "cap")), default=None)
        names = [one for one in ("leverage", "least_leverage", "most_leverage") if hasattr(professionals, one)]
        if cap is None:
            return professionals
        return professionals.model_copy(update={name: min(getattr(professionals, name), cap) for name in names})

    def begin(self, exchanges: Exchanges) -> None:
        """Once, after the opening."""
        self._call("begin", exchanges)

    def after_mark(self, exchanges: Exchanges, now_ms: int) -> None:
        """After each new mark, before anybody is liquidated."""
        for policy in self._after_mark:
            policy.after_mark(exchanges, now_ms)

    def _call(self, name: str, *arguments: Any) -> None:
        for policy in self.every:
            if hasattr(policy, name):
                getattr(policy, name)(*arguments)
