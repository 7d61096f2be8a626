# Two commands are enough: `make run` serves the app, `make test` runs the gate. Both install what they need.

# The first Python on this machine that is new enough.
PYTHON ?= $(shell for python in python3.11 python3 python3.12 python3.13 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
BIN := .venv/bin

# How many tests run at once; each worker that comes to the browser tests has an app and a Chromium of its own.
WORKERS ?= 2

# Looked for anew at each use, since the recipe for `browser` may just have brought it.
CHROMIUM ?= $(shell command -v chromium || command -v chromium-browser || command -v google-chrome || command -v google-chrome-stable)
export CHROMIUM

# What was compiled once is kept: the tests start the app many times. Empty counts as unset.
export PYTHONDONTWRITEBYTECODE :=

# $(call apt,PACKAGE) installs a Debian package, on a Debian that lets us; fails without a word elsewhere.
apt = { command -v apt-get >/dev/null && \
	if [ "$$(id -u)" = 0 ]; then as_root=; else command -v sudo >/dev/null && as_root=sudo; fi && \
	$$as_root apt-get update && \
	$$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $(1); }

.PHONY: help run test soak check format screenshots samples readme live bench browser nginx postgres

help:  ## Show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

run: .venv/run.stamp  ## Serve the app on this computer
	$(BIN)/python app.py

test: check browser nginx postgres  ## The gate: format, lint, strict types, tests
	$(BIN)/python -m pytest -n $(WORKERS)

soak: .venv/dev.stamp postgres  ## The long tests: every moment to be killed at, and far more drawn inputs
	$(BIN)/python -m pytest -n $(WORKERS) -m 'soak or hypothesis' --hypothesis-profile soak -o faulthandler_timeout=3600

check: .venv/dev.stamp  ## The quick part of the gate: format, lint, strict types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	@rm -f ui/*.pyi ui/*/*.pyi  # Gradio writes them beside its components, and mypy would read them in place of the source
	$(BIN)/mypy

format: .venv/dev.stamp  ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

screenshots: .venv/dev.stamp browser  ## Make the README's pictures anew
	$(BIN)/python -m scripts.screenshots

samples: .venv/run.stamp  ## Draw the presets' small pictures anew
	$(BIN)/python -m scripts.samples

readme: .venv/run.stamp  ## Write the README's tables and the picture of the rooms anew
	$(BIN)/python -m scripts.readme
	$(BIN)/python -m scripts.rooms

live: .venv/run.stamp  ## Try every variant once with your key; asks before it spends
	$(BIN)/python -m scripts.live

bench: .venv/dev.stamp  ## Measure what benchmarks/ measures
	$(BIN)/python -m benchmarks

browser:
	@test -n "$(CHROMIUM)" || $(call apt,chromium) || { \
		echo 'The tests drive a Chromium: install chromium or Google Chrome, or set CHROMIUM to its path, then try again.'; exit 1; }

# The tests start a server of their own; one that the package may have started has nothing to do with it.
postgres:
	@ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || command -v postgres >/dev/null || $(call apt,postgresql) || { \
		echo 'The tests start a PostgreSQL: install postgresql, then try again.'; exit 1; }

nginx:
	@command -v nginx >/dev/null || test -x /usr/sbin/nginx || $(call apt,nginx) || { \
		echo 'The tests send requests through docs/nginx.conf: install nginx, then try again.'; exit 1; }

.venv/bin/pip:
	@test -n "$(PYTHON)" || { echo 'Python 3.11 or newer is needed: install it, then try again.'; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; $(call apt,python3-venv) && $(PYTHON) -m venv .venv; } || \
		{ rm -rf .venv; echo 'This Python can make no virtual environment: install its venv module, then try again.'; exit 1; }

.venv/run.stamp: requirements.txt | .venv/bin/pip
	@echo 'Installing what the app needs into .venv. The first time this takes a few minutes.'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/dev.stamp: requirements-dev.txt requirements-postgres.txt .venv/run.stamp
	@echo 'Installing what the tests need.'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
