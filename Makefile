# Aliases only: each target is one line that the README explains.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup run check full bench docs

setup:
	$(PYTHON) -m venv .venv && $(BIN)/pip install -q -e '.[dev,app,docs]'

run:
	$(BIN)/deleverage run october-2025

check:
	$(BIN)/pytest -n 2

full:
	$(BIN)/pytest -n 2 -m 'full or not full' --cov --cov-report=
	NUMBA_DISABLE_JIT=1 $(BIN)/pytest -n 2 -m kernels --cov --cov-append --cov-report=term --cov-fail-under=90
	$(BIN)/deleverage experiment october --quick

docs:
	$(BIN)/sphinx-build -W --keep-going -b html docs build/docs

bench:
	$(BIN)/python -m benchmarks.goals --docs docs/performance.md
