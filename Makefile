# make run       sets everything up and runs a real Flink job on a cluster on this machine (ONCE=1: stops by itself)
# make test      sets everything up and passes the checks and tests
# make check     linters and types alone
# make unit      unit tests alone
# make machines  long walks of the cores' state machines
# make explore   property tests and state machines with examples that nobody has tried; SEED=n repeats the machines' walk
# make fuzz      50,000 requests of every form to a master and an agent
# make flink-versions  the cluster tests of Flink with the versions beside the default one
# make bench     the figures
SHELL = /bin/sh
VENV = .venv/bin
AT_ONCE = 3

.PHONY: run test check unit machines explore fuzz flink-versions bench setup setup-test lock clean

run: setup
	@exec $(VENV)/headrace demo --data .headrace $(if $(ONCE),--once)

test: check
	sh java/flink-driver/test.sh "$$($(VENV)/python scripts/flink_lib.py)"
	$(VENV)/python -m pytest -n $(AT_ONCE) --dist loadfile tests/unit tests/conformance tests/cluster
	$(MAKE) --no-print-directory machines

# the state machines of the cores, 210,000 steps in all, two at a time
machines: setup-test
	@HEADRACE_MACHINE_STEPS=105000 $(VENV)/python -m pytest -q -o faulthandler_timeout=0 tests/unit/mesos/agent/test_agent_machine.py & agent=$$!; \
	HEADRACE_MACHINE_STEPS=105000 $(VENV)/python -m pytest -q -o faulthandler_timeout=0 tests/unit/mesos/master/test_master_machine.py; master=$$?; \
	wait $$agent && [ $$master = 0 ]

explore: setup-test
	@seed=$(or $(SEED),$$(date +%s)); echo "SEED=$$seed"; \
	HEADRACE_SEED=$$seed HEADRACE_MACHINE_STEPS=20000 $(VENV)/python -m pytest -q -n 2 -o faulthandler_timeout=0 $$(grep -rlE "hypothesis|walks import" tests/unit --include='test_*.py')

check: setup-test
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/mypy
	$(VENV)/lint-imports

fuzz: setup-test
	HEADRACE_FUZZ=50000 $(VENV)/python -m pytest -q -o faulthandler_timeout=0 tests/cluster/test_fuzz.py

flink-versions: setup-test
	@for version in 2.2 2.3; do \
		echo "Flink $$version"; \
		HEADRACE_TEST_FLINK=$$version $(VENV)/python -m pytest tests/cluster/test_flink_*.py tests/cluster/test_survival.py || exit 1; \
	done

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
