# RoboTrader: `make run` trades on the practice market, `make test` runs the tests. Both set up .venv the first time.

VENV ?= .venv
ARGS ?=
SYMBOLS ?= AAPL,NVDA

PYTHON := $(VENV)/bin/python
# Touched once everything of requirements.lock is installed, so that the second start is instant.
READY := $(VENV)/.ready
SOURCES := robo_trader tests benchmarks
BENCHMARKS := $(filter-out __init__,$(basename $(notdir $(wildcard benchmarks/*.py))))
LOCK := uv pip compile pyproject.toml --extra dev --generate-hashes --no-emit-index-url --universal \
	--python-version 3.11 -o requirements.lock
FOREIGN ?= build/foreign
PINS := tests/foreign/clients/install

.PHONY: run test foreign foreign-clients style types floors lint check bench lock $(addprefix bench-,$(BENCHMARKS))

run: $(READY)
	@$(PYTHON) -m robo_trader.runner_async --symbols $(SYMBOLS) --use-ml $(ARGS)

test: $(READY)
	@$(PYTHON) -m pytest $(ARGS)

# Holds the conversation of tests/foreign with API clients that are no dependency of RoboTrader; the first time it
# gets them from PyPI and npm, each into a directory of its own.
foreign: foreign-clients
	@ROBO_FOREIGN=$(FOREIGN) $(PYTHON) -m pytest tests/foreign $(ARGS)

foreign-clients: $(foreach client,ibapi insync stoqey,$(FOREIGN)/$(client)/.ready)

$(FOREIGN)/%/.ready: $(PINS)/%.txt | $(READY)
	@rm -rf $(@D)
	@$(PYTHON) -m pip install -qq --disable-pip-version-check --no-deps --require-hashes --target $(@D) -r $<
	@touch $@

$(FOREIGN)/stoqey/.ready: $(PINS)/package.json $(PINS)/package-lock.json
	@mkdir -p $(@D)
	@cp $^ $(@D)
	@npm ci --prefix $(@D) --ignore-scripts --no-audit --no-fund --silent
	@touch $@

style: $(READY)
	@$(PYTHON) -m ruff check $(SOURCES)
	@$(PYTHON) -m ruff format --check $(SOURCES)

types: $(READY)
	@$(PYTHON) -m mypy

floors: $(READY)
	@$(VENV)/bin/lint-imports

lint: style types floors

check: lint test

bench: $(addprefix bench-,$(BENCHMARKS))

$(addprefix bench-,$(BENCHMARKS)): bench-%: $(READY)
	@echo "== $*"
	@$(PYTHON) -m benchmarks.$* $(ARGS)

# Pins every dependency again, with hashes and without naming a package index; needs uv.
lock:
	@UV_CUSTOM_COMPILE_COMMAND="$(LOCK)" $(LOCK) --upgrade --quiet

$(READY): requirements.lock pyproject.toml
	@[ -x $(PYTHON) ] || { \
		for python in python3.13 python3.12 python3.11 python3; do \
			"$$python" -c 'import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
				2>/dev/null && break; \
			python=; \
		done; \
		[ -n "$$python" ] || { echo "RoboTrader needs Python 3.11 to 3.13 with the venv module" >&2; exit 2; }; \
		echo "Setting up $(VENV) with $$python; this takes a minute, once." >&2; \
		"$$python" -m venv $(VENV); \
	}
	@if command -v uv >/dev/null 2>&1 \
		&& uv pip install --quiet --python $(PYTHON) --require-hashes -r requirements.lock \
		&& uv pip install --quiet --python $(PYTHON) --no-deps -e .; then :; else \
		$(PYTHON) -m pip install -qq --disable-pip-version-check --require-hashes -r requirements.lock \
		&& $(PYTHON) -m pip install -qq --disable-pip-version-check --no-deps -e .; fi
	@touch $(READY)
