# Every target installs what it needs first, into .venv and .cache of this folder; the second time that costs nothing.
# PYTHON=python3.12 make test     another interpreter, 3.11 or newer, for a new .venv
# make demo ARGS="--events 1000"  arguments for the program behind a target

PYTHON ?= python3
ARGS ?=
SEEDS ?= 1000
MINUTES ?= 5
BIN = .venv/bin
INSTALL = scripts/install $(BIN)/python
RUNTIME = .venv/.installed-runtime
DEV = .venv/.installed-dev
PROJECT = .venv/.installed-project
JUDGES = .venv/.installed-chart
TRIED = .venv/.tried-locks
LOCKS = $(wildcard requirements*.lock)
PYTEST = $(BIN)/python -m pytest
# Three processes more than cores, since half the files wait for brokers; tests/conftest.py puts both kinds in turn. A file
# stays in one process. A worker that crashes ends the run: with another in its place xdist can wait for ever at the end.
WORKERS = -n $(shell $(PYTHON) -c "import os; print(min(6, 3 + (os.cpu_count() or 1)))") --dist loadfile --no-loadscope-reorder \
	--max-worker-restart=0
# It is a third more work (995 s of CPU against 725), so only where CI is set: `make test CI=true` does what CI does.
COVERAGE = $(if $(CI),--cov --cov-report=term-missing:skip-covered)

# Another installation's: the programs of the venv find their own. And what is compiled is kept: the tests start hundreds.
unexport PYTHONHOME PYTHONPATH PYTHONSTARTUP PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-quick simulate chaos lint format bench chart test-chart test-install test-image test-cluster kafka registry chromium pictures lock release clean
.DEFAULT_GOAL := help

help: ## what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

demo: $(RUNTIME) $(PROJECT) ## the main job on embedded defaults, ending by itself with a reconciliation
	$(BIN)/connector demo $(ARGS)

test: $(DEV) $(PROJECT) kafka registry chromium ## every test, with the real Kafka broker; in CI with coverage
	$(PYTEST) $(WORKERS) $(COVERAGE) $(ARGS)

test-quick: $(DEV) $(PROJECT) ## the tests that need no real broker and no browser
	$(PYTEST) -m "not integration and not e2e and not browser" $(ARGS)

simulate: $(DEV) $(PROJECT) ## the pipeline, the quota and verify in random worlds; SEEDS=5000 for more, a failing one prints itself
	$(BIN)/python -m tests.simulation --seeds $(SEEDS) $(ARGS)
	$(BIN)/python -m tests.simulation.quota --seeds $(SEEDS)
	$(BIN)/python -m tests.simulation.hostile
	$(BIN)/python -m tests.simulation.verify --seeds $(SEEDS)0

chaos: $(DEV) $(PROJECT) kafka ## replicas and brokers killed, frozen and cut off at random, then judged: MINUTES=5
	$(BIN)/python -m tests.chaos --minutes $(MINUTES) $(ARGS)

lint: $(DEV) $(PROJECT) ## style, format, types, layers, and whether locks and chart are those of their sources
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/check_locks.py
	$(BIN)/python scripts/chart.py --check

chart: $(DEV) $(PROJECT) ## write into the chart what follows from the settings: values, schema, README
	$(BIN)/python scripts/chart.py

test-chart: $(DEV) $(PROJECT) $(JUDGES) ## the Helm chart before helm, kubeconform, kube-score and the settings model
	$(BIN)/python -m tests.support.chart_tools
	$(PYTEST) $(WORKERS) tests/chart $(ARGS)

test-install: $(TRIED) ## every lock by the oldest pip that this Python ever shipped, each into a venv of its own

test-image: $(DEV) $(PROJECT) kafka ## build the image and run it without rights against the real broker (root, Debian)
	scripts/need "command -v buildah && command -v runc && command -v debootstrap" buildah runc debootstrap
	$(PYTEST) tests/image $(ARGS)

test-cluster: $(DEV) $(PROJECT) $(JUDGES) kafka ## the release on a real Kubernetes, built once in a quarter of an hour (root, Debian)
	@test "$$(uname)" = Linux -a "$$(id -u)" = 0 || { echo "make test-cluster needs root on a Debian machine" >&2; exit 1; }
	scripts/need "command -v buildah && command -v runc && command -v debootstrap" buildah runc debootstrap
	scripts/need "command -v etcd && command -v containerd && test -x /usr/lib/cni/bridge" etcd-server containerd containernetworking-plugins
	$(BIN)/python -m tests.support.chart_tools
	$(BIN)/python -m tests.support.kubernetes.build
	$(PYTEST) --exitfirst tests/cluster $(ARGS)

format: $(DEV) ## rewrite the code in the one format
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

bench: $(DEV) $(PROJECT) kafka ## the measurements that docs/performance.md quotes
	scripts/need "command -v nginx" nginx
	$(BIN)/python -m benchmarks $(ARGS)
	$(BIN)/python -m benchmarks.quota
	$(BIN)/python -m benchmarks.formats
	$(BIN)/python -m benchmarks.mapping

kafka: $(DEV) ## fetch the real Kafka broker that tests run
	$(BIN)/python -m tests.support.kafka

registry: $(DEV) ## fetch the real Schema Registry that tests run
	$(BIN)/python -m tests.support.registry

# What is missing here is a loud skip on a laptop; where CI is set, the tests fail by it.
chromium: ## install the browser that tests look at the status page with
	@scripts/need "command -v chromedriver" chromium chromium-driver || true

pictures: $(DEV) $(PROJECT) chromium ## draw the pictures of the status page in docs/ anew
	$(BIN)/python -m tests.browser docs

COMPILE = $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

lock: $(DEV) ## resolve the locks again; ARGS=--upgrade for newer versions
	$(COMPILE) $(ARGS) pyproject.toml --group build -o requirements.lock
	$(COMPILE) $(ARGS) pyproject.toml --all-extras --group build --group test --group lint --group lock -o requirements-dev.lock
	$(COMPILE) $(ARGS) --group java -o requirements-java.lock
	$(COMPILE) $(ARGS) --group pip -o requirements-pip.lock
	$(COMPILE) $(ARGS) --group chart -c requirements-dev.lock -o requirements-chart.lock
	$(COMPILE) $(ARGS) pyproject.toml --all-extras -c requirements-dev.lock -o requirements-image.lock

release: $(DEV) $(PROJECT) ## wheel, sdist, chart package, SBOM, release notes and checksums, into dist/; publishes nothing
	$(BIN)/python -m scripts.release $(ARGS)

clean: ## remove what the targets made
	rm -rf .venv .cache .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	PYTHON="$(PYTHON)" scripts/make_venv

# A newer lock installs again; pip leaves what is already right.
$(RUNTIME): requirements.lock | $(BIN)/python
	$(INSTALL) requirements.lock
	@touch $@

$(DEV): requirements-dev.lock | $(BIN)/python
	$(INSTALL) requirements-dev.lock
	@touch $@

$(JUDGES): requirements-chart.lock | $(BIN)/python
	$(INSTALL) requirements-chart.lock
	@touch $@

$(TRIED): $(LOCKS) scripts/install scripts/try_locks | $(BIN)/python
	scripts/try_locks $(BIN)/python $(LOCKS)
	@touch $@

$(PROJECT): pyproject.toml | $(BIN)/python
	$(INSTALL) .
	@touch $@
