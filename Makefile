# Every target installs what it needs first, into .venv and .cache of this folder; the second time that costs nothing.
# PYTHON=python3.12 make test     another interpreter, 3.11 or newer, for a new .venv
# make demo ARGS="--events 1000"  arguments for the program behind a target

PYTHON ?= python3
ARGS ?=
SEEDS ?= 1000
MINUTES ?= 5
BIN = .venv/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check
RUNTIME = .venv/.installed-runtime
DEV = .venv/.installed-dev
PROJECT = .venv/.installed-project
PYTEST = $(BIN)/python -m pytest
# A process a core, since half the suite waits for brokers; a file stays in one process.
WORKERS = -n auto --maxprocesses 4 --dist loadfile
COVERAGE = --cov --cov-report=term-missing:skip-covered

.PHONY: help demo test test-quick simulate chaos lint format bench kafka lock clean
.DEFAULT_GOAL := help

help: ## what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

demo: $(RUNTIME) $(PROJECT) ## the main job on embedded defaults, ending by itself with a reconciliation
	$(BIN)/connector demo $(ARGS)

test: $(DEV) $(PROJECT) kafka ## every test, with the real Kafka broker and with coverage
	$(PYTEST) $(WORKERS) $(COVERAGE) $(ARGS)

test-quick: $(DEV) $(PROJECT) ## the tests that need no real broker
	$(PYTEST) -m "not integration and not e2e" $(ARGS)

simulate: $(DEV) $(PROJECT) ## the pipeline and the quota in random worlds; SEEDS=5000 for more, a failing one prints itself
	$(BIN)/python -m tests.simulation --seeds $(SEEDS) $(ARGS)
	$(BIN)/python -m tests.simulation.quota --seeds $(SEEDS)

chaos: $(DEV) $(PROJECT) kafka ## replicas and brokers killed, frozen and cut off at random, then judged: MINUTES=5
	$(BIN)/python -m tests.chaos --minutes $(MINUTES) $(ARGS)

lint: $(DEV) $(PROJECT) ## style, format, types, layers, and whether the locks are those of pyproject.toml
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/check_locks.py

format: $(DEV) ## rewrite the code in the one format
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

bench: $(DEV) $(PROJECT) kafka ## the measurements that the README quotes
	scripts/need "command -v nginx" nginx
	$(BIN)/python -m benchmarks $(ARGS)

kafka: $(DEV) ## fetch the real Kafka broker that tests run
	$(BIN)/python -m tests.support.kafka

COMPILE = $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

lock: $(DEV) ## resolve the locks again; ARGS=--upgrade for newer versions
	$(COMPILE) $(ARGS) pyproject.toml --group build -o requirements.lock
	$(COMPILE) $(ARGS) pyproject.toml --group build --group test --group lint --group lock -o requirements-dev.lock
	$(COMPILE) $(ARGS) --group java -o requirements-java.lock

clean: ## remove what the targets made
	rm -rf .venv .cache .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	PYTHON="$(PYTHON)" scripts/make_venv

# A newer lock installs again; pip leaves what is already right.
$(RUNTIME): requirements.lock | $(BIN)/python
	$(PIP) install --quiet --require-hashes -r requirements.lock
	@touch $@

$(DEV): requirements-dev.lock | $(BIN)/python
	$(PIP) install --quiet --require-hashes -r requirements-dev.lock
	@touch $@

# Either lock brings the build backend, so nothing is downloaded here.
$(PROJECT): pyproject.toml | $(BIN)/python
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
