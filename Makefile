# Roomtone. `make help` lists the verbs; each does its own set-up, once.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
# Real time is mostly waited for: two tests at once. A choice of tests does not start workers.
WORKERS ?= $(if $(filter -k% -m% tests/%,$(ARGS)),0,2)
# The first of these that is new enough; `make PYTHON=/opt/python/bin/python3 …` decides.
PYTHONS := $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11)
PAGES := static/vendor/hls.mjs
# libwebrtc as a library, for the tests.
INTEROP := tests/interop/node_modules/.package-lock.json
# The real programs the tests drive, with their package where it is called otherwise.
PROGRAMS := chromium ffmpeg espeak-ng sox janus turnserver:coturn nginx caddy curl openssl certutil:libnss3-tools setpriv:util-linux
VLC := vlc-bin vlc-plugin-base
GSTREAMER := gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good
# Its webrtcbin, by the system's Python.
WEBRTCBIN := gstreamer1.0-plugins-bad gstreamer1.0-nice python3-gi gir1.2-gst-plugins-bad-1.0
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

.PHONY: help run test fast check format bench clean static-checks programs

help: ## show this list
	@echo 'Roomtone: live audio rooms. The first time: make run'
	@echo
	@grep -hE '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

run: .installed $(PAGES) ## set everything up and serve on http://127.0.0.1:8080 (ARGS="--port 9000")
	@exec $(BIN)/roomtone serve $(ARGS)

test: .installed-dev $(PAGES) $(INTEROP) programs ## everything: static checks, units, Chromium, FFmpeg (ARGS="-k name")
	@$(MAKE) --no-print-directory static-checks
	$(BIN)/pytest -n $(WORKERS) --dist worksteal $(ARGS)

fast: .installed-dev ## the tests without real browsers and programs
	$(BIN)/pytest -n $(WORKERS) --dist worksteal -m "not e2e and not slow" $(ARGS)

check: .installed-dev static-checks fast ## format, lint, types, layers and the fast tests: under a minute

format: .installed-dev ## let ruff format the tree and mend what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .installed-dev ## measure beside Janus (ARGS="cpu --quick"; ARGS="--help")
	$(BIN)/python -m bench $(ARGS)

clean: ## remove what the verbs above made
	rm -rf $(VENV) .installed .installed-dev static/vendor tests/interop/node_modules build dist *.egg-info
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

static-checks: .installed-dev $(PAGES)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python static/build.py check

# $(call apt,PACKAGES,WHY): install them as root on Debian and its kin, else say what to type.
define apt
if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
  echo "Installing $(1)"; \
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $(1) >/dev/null; \
else echo >&2 "$(2): sudo apt install $(1)"; false; fi
endef

# A Python without ensurepip (Debian, Ubuntu) cannot make an environment: look for one that can.
$(BIN)/python:
	@new=; for python in $(PYTHONS); do \
	  $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	  new=$${new:-$$python}; \
	  if $$python -c 'import ensurepip, venv' 2>/dev/null; then new=$$python; break; fi; \
	done; \
	if [ -z "$$new" ]; then \
	  echo >&2 "Roomtone needs Python 3.11 or newer; tried: $(PYTHONS)."; \
	  echo >&2 "If it is elsewhere: make PYTHON=/path/to/python3 …"; exit 1; fi; \
	if ! $$new -c 'import ensurepip, venv' 2>/dev/null; then \
	  $(call apt,$$(basename $$new)-venv,Python's venv module is missing) || exit 1; fi; \
	echo "Making $(VENV) with $$($$new --version)"; \
	$$new -m venv --clear $(VENV) || { rm -rf $(VENV); exit 1; }

.installed: pyproject.toml $(BIN)/python
	@echo 'Installing the Python packages'
	@$(PIP) install --editable .
	@touch $@

.installed-dev: pyproject.toml .installed
	@echo 'Installing what the tests and checks need'
	@$(PIP) install --upgrade 'pip>=25.1' # the first that reads dependency groups
	@$(PIP) install --group dev
	@touch $@

$(PAGES): static/build.py $(wildcard static/package*.json) | .installed
	@echo 'Fetching the browser libraries'
	@$(BIN)/python static/build.py vendor

$(INTEROP): tests/interop/package-lock.json | .installed
	@echo 'Fetching libwebrtc for the tests'
	@$(BIN)/python static/build.py install tests/interop
	@touch $@

programs:
	@missing=; for program in $(PROGRAMS); do command -v $${program%%:*} >/dev/null || missing="$$missing $${program##*:}"; done; \
	gst-inspect-1.0 --exists opusenc 2>/dev/null && gst-inspect-1.0 --exists rtpopuspay || missing="$$missing $(GSTREAMER)"; \
	gst-inspect-1.0 --exists webrtcbin 2>/dev/null && gst-inspect-1.0 nicesink >/dev/null 2>&1 && /usr/bin/python3 -c 'import gi; gi.require_version("GstWebRTC", "1.0")' 2>/dev/null || missing="$$missing $(WEBRTCBIN)"; \
	command -v cvlc >/dev/null && ls /usr/lib/*/vlc/plugins/access/libfilesystem_plugin.so >/dev/null 2>&1 || missing="$$missing $(VLC)"; \
	gst-inspect-1.0 --exists hlsdemux 2>/dev/null && gst-inspect-1.0 --exists faad || missing="$$missing gstreamer1.0-plugins-bad"; \
	if [ -n "$$missing" ]; then $(call apt,$$missing,The tests drive real programs (make fast does without)); fi
