# make run    sets everything up and runs a real Flink job on a cluster on this machine (ONCE=1: stops by itself)
# make test   sets everything up and passes the checks and tests
# make check  linters and types alone;  make unit  unit tests alone;  make bench  the figures
SHELL = /bin/sh
VENV = .venv/bin

.PHONY: run test check unit bench setup setup-test lock clean

run: setup
	@exec $(VENV)/headrace demo --data .headrace $(if $(ONCE),--once)

test: check
	sh java/flink-driver/test.sh "$$($(VENV)/python scripts/flink_lib.py)"
	$(VENV)/python -m pytest tests/unit tests/conformance tests/cluster

check: setup-test
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/mypy
	$(VENV)/lint-imports

unit: setup-test
	$(VENV)/python -m pytest tests/unit

bench: setup-test
	$(VENV)/python -m bench

setup:
	@sh scripts/setup.sh run

setup-test:
	@sh scripts/setup.sh test

lock: setup
	sh scripts/lock.sh

clean:
	rm -rf .venv .headrace src/headrace/flink/jars .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
