# Each command does all its own set-up; the second time that costs nothing. `make` alone, or `make help`, prints these lines:
#
#   make demo [ARGS="--exit --small"]   the whole loop on simulated data, with the site; Ctrl-C ends it
#        [CENTRE=condor|lsf]            its jobs on HTCondor or a stand-in for LSF, its files behind an XRootD server
#   make test                           lint, then every group of tests
#   make lint | docs                    one part of it
#   make proof [ARGS="kill centres"]    the long tests; these two parts write docs/proof.md and docs/proof_at_centres.md
#   make benchmarks                     b2cal beside others; keeps what they print in docs/benchmarks
#   make lock                           newest versions into requirements.lock
#   make assets                         the site's JavaScript and CSS again from their lock file (needs npm)

PYTHON ?= python3.11
BIN := .venv/bin
READY := .venv/.ready
NPM_READY := assets/node_modules/.ready
ARGS ?=

.PHONY: help demo test lint docs lock assets proof benchmarks setup
.DELETE_ON_ERROR:

help:
	@sed -n 's/^#   //p' Makefile

demo: setup
	$(if $(CENTRE),$(BIN)/python -m tests.services.centre $(CENTRE)) $(BIN)/b2cal demo $(if $(CENTRE),--centre $(CENTRE)) $(ARGS)

test: setup
	$(BIN)/python tests/groups.py $(ARGS)

lint: setup
	$(BIN)/python tests/groups.py lint

proof: setup
	$(BIN)/python -m tests.proof $(ARGS)

benchmarks: setup
	$(BIN)/python -m benchmarks $(ARGS)

docs: setup
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet docs docs/_build/html
	@echo "docs/_build/html/index.html"

lock: setup
	$(BIN)/uv pip compile --quiet --upgrade --extra dev --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --no-header --output-file requirements.lock pyproject.toml
	for environment in clients jobs_python snakemake; do (cd tests/services/$$environment && \
	    $(CURDIR)/$(BIN)/uv pip compile --quiet --upgrade --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --no-header --output-file requirements.lock requirements.in) || exit 1; done

assets: setup $(NPM_READY)
	$(BIN)/python assets/vendor.py

setup: $(READY)

$(READY): requirements.lock
	@command -v $(PYTHON) >/dev/null || { echo "b2cal needs Python 3.11, and there is no $(PYTHON) here. Install it (Debian 12: apt install python3.11-venv)," \
	    "or name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "$(PYTHON) cannot make environments: its venv module is missing." \
	    "Install it (Debian 12: apt install python3.11-venv)." >&2; exit 1; }
	@echo "Installing the locked packages into .venv, about a minute ..."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(NPM_READY): assets/package.json assets/package-lock.json
	@command -v npm >/dev/null || { echo "make assets needs npm (Debian 12: apt install npm). Only this command does: the files" \
	    "that it makes are part of the repository." >&2; exit 1; }
	npm --prefix assets ci --ignore-scripts
	@touch $@
