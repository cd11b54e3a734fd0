# What there is to do here. It needs python3 (3.11 or newer) with pip, and make; the rest is installed into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
ARGS ?=

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run test check fix lock migrate seed sdl clean

help: ## List all of this
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

run: $(READY) ## Run everything here: databases, web server, worker, demo data
	@exec $(BIN)/python -m ops up

test: $(READY) ## Run the tests; ARGS="tests/models -x" goes to pytest
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadgroup $(ARGS)

check: $(READY) ## Do what CI does: format, lint, types, imports, schema, tests
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m ops sdl --check
	@$(MAKE) --no-print-directory test

fix: $(READY) ## Format, and mend what the linter can mend
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

lock: $(READY) ## Choose the newest versions that pyproject.toml allows
	@[ -x $(BIN)/uv ] || $(PYTHON) -m pip --python $(BIN)/python install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --group dev --universal --upgrade --generate-hashes \
		--no-emit-index-url --no-header --quiet -o requirements.lock

migrate: $(READY) ## Bring the database at DATABASE_URL to the newest revision
	@$(BIN)/python -m ops migrate

seed: $(READY) ## Put the demo data into the database at DATABASE_URL
	@$(BIN)/python -m ops seed

sdl: $(READY) ## Write schema/schema.graphql anew
	@$(BIN)/python -m ops sdl

clean: ## Delete what was made here: local data, caches, the virtual environment
	@$(PYTHON) -c 'from pathlib import Path; from ops import local; local.remove(Path(".workup"))'
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -prune -exec rm -rf {} +

# A package that pip was installing when it was interrupted looks whole to it afterwards, so the environment is made
# anew then. Otherwise pip installs only what has changed. It is the pip outside that installs (--python), with
# whatever indexes and certificates it is configured for: Debian's python3 alone cannot put one inside.
$(READY): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "WorkUp needs Python 3.11 or newer: make PYTHON=…")'
	@if [ -e $(VENV)/.unfinished ] || ! $(BIN)/python -c '' 2> /dev/null; then \
		rm -rf $(VENV); $(PYTHON) -m venv --without-pip $(VENV); \
	fi
	@touch $(VENV)/.unfinished
	@echo 'Installing what requirements.lock lists into $(VENV), about a minute the first time:'
	@pip="$(PYTHON) -m pip --python $(BIN)/python"; \
	if ! $$pip --version > /dev/null 2>&1; then \
		$(BIN)/python -m ensurepip > /dev/null; pip="$(BIN)/python -m pip"; \
	fi; \
	PIP_DISABLE_PIP_VERSION_CHECK=1 $$pip install --require-hashes --progress-bar off -r requirements.lock \
		| while read -r word package _; do \
			case $$word in Collecting) echo "  $${package%% *}";; Installing) echo '  … and unpacking';; esac; \
		done
	@rm $(VENV)/.unfinished
	@touch $@
