# Roomtone. `make help` lists the verbs; each does its own set-up.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: help run test fast check format bench clean apt
help: ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

run: .installed static/vendor/hls.mjs ## set everything up and serve on http://127.0.0.1:8080 (ARGS="--port 9000 …")
	@exec $(BIN)/roomtone serve $(ARGS)

test: .installed-dev static/vendor/hls.mjs apt ## everything: static checks, units, Chromium, FFmpeg (ARGS="-k name")
	$(MAKE) --no-print-directory static-checks
	$(BIN)/pytest $(ARGS)

fast: .installed-dev ## tests without real browsers and programs
	$(BIN)/pytest -m "not e2e and not slow" $(ARGS)

check: .installed-dev static-checks fast ## format, lint, types, layers and the fast tests: under a minute

.PHONY: static-checks
static-checks: .installed-dev static/vendor/hls.mjs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python static/build.py check

format: .installed-dev ## let ruff format the tree
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .installed-dev ## measure (see bench/README.md)
	$(BIN)/python -m bench $(ARGS)

clean: ## remove what the verbs above made
	rm -rf $(VENV) .installed .installed-dev static/vendor static/node_modules build dist *.egg-info

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Roomtone needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV) || { echo "The venv module is missing. On Debian or Ubuntu: apt install python3-venv"; exit 1; }

.installed: pyproject.toml $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.installed-dev: pyproject.toml .installed
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/pip install --quiet --disable-pip-version-check --group dev
	@touch $@

static/vendor/hls.mjs: static/package.json $(wildcard static/package-lock.json) | .installed
	$(BIN)/python static/build.py vendor

apt: # the real programs the tests drive
	@missing=; for p in chromium ffmpeg espeak-ng sox; do command -v $$p >/dev/null || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ]; then apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing; \
	  else echo "The tests drive these programs: sudo apt install$$missing"; exit 1; fi; fi
