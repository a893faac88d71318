# All that is needed is Python 3.11+. Everything is installed into .venv, nothing elsewhere.
.DEFAULT_GOAL := help
.PHONY: help demo test test-slow check lint format bench clean
SHELL := /bin/sh

PY := .venv/bin/python
CODE := stock_platform stock_platform_tests

help:  ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | while IFS='	' read -r name text; do printf '  make %-9s %s\n' "$$name" "$$text"; done

# The stamp holds the folder it was made for: a venv that was moved or copied is made anew.
MOVED := $(shell [ "$$(cat .venv/installed 2>/dev/null)" = "$(CURDIR)" ] || echo FORCE)
FORCE:

.venv/installed: pyproject.toml constraints.txt scripts/venv.sh $(MOVED)
	@./scripts/venv.sh

demo: .venv/installed  ## Fill a market offline, show what happened, serve the Dagster UI
	@$(PY) -m stock_platform demo $(ARGS)

test: .venv/installed  ## Run the tests (ARGS="-k planner" for some of them)
	@$(PY) -m pytest -n auto --maxprocesses 4 --dist worksteal -m "not thorough" $(ARGS)

test-slow: .venv/installed  ## Run what takes minutes: long hammering, 50 seeds of crashes
	@$(PY) -m pytest -n 2 -m thorough $(ARGS)
	@STOCK_PLATFORM_TEST_SEEDS=50 $(PY) -m pytest -n 2 stock_platform_tests/storage/test_crash.py $(ARGS)

lint: .venv/installed  ## Run ruff, mypy (strict) and import-linter
	$(PY) -m ruff check $(CODE)
	$(PY) -m ruff format --check $(CODE)
	$(PY) -m mypy
	.venv/bin/lint-imports --config setup.cfg

check: lint test  ## Run lint, then the tests

format: .venv/installed  ## Format the code and apply ruff's safe fixes
	$(PY) -m ruff check --fix $(CODE)
	$(PY) -m ruff format $(CODE)

bench: .venv/installed  ## Run the benchmarks
	@$(PY) -m stock_platform_tests.benchmarks $(ARGS)

clean:  ## Delete .venv, caches and build output (never the platform's data)
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +
