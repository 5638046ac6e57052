# make help lists the targets. Everything below works on a fresh clone with Python 3.11+ and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CLIENTS ?= .venv-clients
# uv resolves and installs 30 times faster than pip and verifies hashes; pinned so that it does so
# in the same way everywhere.
UV_VERSION := 0.13.9
# TORCH_BACKEND=cpu (or cu128, rocm6.4, auto …) chooses another build of torch than the registry's.
TORCH_BACKEND ?=
UV := $(BIN)/uv
INSTALLED := $(VENV)/.installed
ARGS ?=
# Set in many containers; every process would then compile what it imports anew, which is half of the
# time that importing torch and sentence-transformers takes.
unexport PYTHONDONTWRITEBYTECODE
# Processes that run the tests, one more than cores, for many of them wait; they share one Kafka and
# one ClickHouse.
WORKERS ?= 3
PYTEST := $(BIN)/pytest -n $(WORKERS)
# The first mypy of a clone takes over a minute of one core and shares nothing with the tests: both
# run at once. What it says is shown when the tests have ended, and only if it failed.
TYPES_LOG := .mypy_cache/last.txt
BESIDE_TYPES := mkdir -p .mypy_cache; $(BIN)/mypy >$(TYPES_LOG) 2>&1 & types=$$!; \
	trap "kill $$types" INT TERM
AND_TYPES := tests=$$?; wait $$types || { cat $(TYPES_LOG); exit 1; }; exit $$tests

.DEFAULT_GOAL := help
.PHONY: help setup clients system-tools demo test check format unit integration wheel bench lock \
	docs clean clean-data

help: ## show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

setup: $(INSTALLED) ## create the virtual environment with all locked packages

$(INSTALLED): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else \
		f"Python 3.11 or newer is needed, {sys.executable} is {v.major}.{v.minor}: make PYTHON=python3.12 …")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
		{ echo "cannot create $(VENV): install your system's python3-venv package"; exit 1; }
	@echo "installing the locked packages into $(VENV) (torch is large; minutes on a slow line)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
ifeq ($(TORCH_BACKEND),)
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
else
	@$(UV) pip install --quiet --python $(BIN)/python --torch-backend $(TORCH_BACKEND) \
		--no-verify-hashes -c requirements/dev.txt --group dev -e '.[all]'
endif
	@touch $@

# What the server is tested with by its users' own libraries, apart from what we install.
clients: $(CLIENTS)/.installed ## create the environment with the real clients of the server

$(CLIENTS)/.installed: requirements/clients.txt $(INSTALLED)
	@test -x $(CLIENTS)/bin/python || $(PYTHON) -m venv $(CLIENTS)
	@$(UV) pip install --quiet --python $(CLIENTS)/bin/python --require-hashes -r requirements/clients.txt
	@touch $@

system-tools: ## install Prometheus, Alertmanager and Chromium where the system's packages can be installed
	@sh infra/system-tools.sh

demo: setup ## run the whole loop once on real traffic and write a report (about 8 minutes on 2 cores)
	@$(BIN)/ragwheel demo $(ARGS)

test: setup clients system-tools ## lint, types and the whole suite: what CI runs
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BESIDE_TYPES); $(PYTEST) $(ARGS); $(AND_TYPES)

check: setup ## the fast part: lint, types, unit tests
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BESIDE_TYPES); $(PYTEST) tests/unit $(ARGS); $(AND_TYPES)

unit: setup ## unit tests only
	@$(PYTEST) tests/unit $(ARGS)

integration: setup clients system-tools ## contract and integration tests (real Kafka, embedded ClickHouse)
	@$(PYTEST) tests/contract tests/integration $(ARGS)

wheel: setup system-tools ## build the wheel into dist and run it, and what the images hold, outside this tree
	@$(BIN)/python -m hatchling build --target wheel
	@$(BIN)/pytest tests/unit/house/test_wheel.py tests/unit/house/test_images.py \
		tests/integration/house/test_wheel.py $(ARGS)

format: setup ## format and fix what can be fixed by a tool
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

bench: setup ## run the benchmarks; each prints a ratio to a named limit
	@for file in bench/*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

docs: setup ## rewrite the generated documents and dashboards
	@$(BIN)/python -m ragwheel.schemas.export
	@$(BIN)/python -m ragwheel.cli.reference
	@$(BIN)/python -m ragwheel.observability.boards

# Addresses of the registry that served this are left out on purpose.
LOCK := pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url \
	--no-annotate --custom-compile-command "make lock"
lock: setup ## lock the dependencies again (requirements/*.txt)
	@$(UV) $(LOCK) pyproject.toml --extra all --group dev -o requirements/dev.txt $(ARGS)
	@$(UV) $(LOCK) pyproject.toml --extra all -c requirements/dev.txt -o requirements/all.txt
	@$(UV) $(LOCK) pyproject.toml --extra streams -c requirements/dev.txt -o requirements/streams.txt
	@$(UV) $(LOCK) pyproject.toml --extra trainers -c requirements/dev.txt -o requirements/trainers.txt
	@$(UV) $(LOCK) pyproject.toml --extra serving -c requirements/dev.txt -o requirements/serving.txt
	@$(UV) $(LOCK) --group clients -o requirements/clients.txt

clean: ## remove the virtual environment and caches; local stacks in .ragwheel keep their data
	@rm -rf $(VENV) $(CLIENTS) .mypy_cache .pytest_cache .ruff_cache dist build

clean-data: ## remove .ragwheel: events, labels that were paid for, and models
	@test ! -e .ragwheel || { printf "delete .ragwheel with all events, labels and models? [y/N] "; \
		read -r answer; [ "$$answer" = y ] && rm -rf .ragwheel; }
