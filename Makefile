# Two commands are enough on a fresh machine with Python 3.11+, make and git:  make run   and   make test
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
MINUTES ?= 20
WORKERS ?= 2
DEVICE ?= auto
MODELS := autoencoder text-to-image few-steps inpaint segmenter judge clip

.PHONY: help setup browser run test check check-page types format bench bench-speed screenshots baselines train clean

help: ## list these commands
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(STAMP) ## create .venv and install the pinned versions; does nothing when that is done

# The stamp is written last: an install that was interrupted is taken up again.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if (3, 11) <= v < (3, 14) else \
		"Palimpsest needs Python 3.11 to 3.13; $(PYTHON) is %d.%d. Name another one: make setup PYTHON=python3.12" % v[:2])'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { rm -rf .venv; \
		echo 'Python came without venv; on Debian and Ubuntu: apt-get install python3-venv' >&2; exit 1; }
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

# Debian's package where there is apt and the right to use it; elsewhere (and on Ubuntu, whose package is an empty
# shell) the browser that Playwright brings itself.
APT := DEBIAN_FRONTEND=noninteractive apt-get
browser: $(STAMP) ## find or install a browser for the tests
	@if ! command -v chromium chromium-browser google-chrome >/dev/null 2>&1 && \
		! $(BIN)/python -c 'from pathlib import Path; from playwright.sync_api import sync_playwright as start; \
			p = start().start(); found = Path(p.chromium.executable_path).exists(); p.stop(); exit(not found)'; then \
		{ command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] && $(APT) update -qq && \
			$(APT) install -y -qq --no-install-recommends chromium && command -v chromium >/dev/null; } || \
		$(BIN)/playwright install chromium; \
	fi

run: $(STAMP) ## open the studio at 127.0.0.1
	$(BIN)/python launch.py

# A process a core, with a thread each: two threads of one process mostly wait for each other in what tests compute.
test: $(STAMP) browser ## run every test, in WORKERS= processes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile

check: $(STAMP) ## format, lint, types and import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.page.view_types --check
	$(BIN)/python -m studio.api.openapi --check
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory check-page; \
		else echo 'Skipped: lint, types and unit tests of the page (assets/js), which need npm'; fi

# The page runs what is in assets/js as it is; what npm installs only looks at it. As above, the stamp is written last.
PAGE := tests/page
PAGE_STAMP := $(PAGE)/node_modules/.installed
$(PAGE_STAMP): $(PAGE)/package.json $(PAGE)/package-lock.json
	npm --prefix $(PAGE) ci --no-audit --no-fund --loglevel=error
	@touch $@

check-page: $(PAGE_STAMP) ## lint, types and unit tests of the page's scripts
	npm --prefix $(PAGE) run --silent lint
	npm --prefix $(PAGE) run --silent types
	npm --prefix $(PAGE) run --silent unit

types: $(STAMP) ## write the types of what the page is sent, and what the HTTP API takes
	$(BIN)/python -m tests.page.view_types
	$(BIN)/python -m studio.api.openapi

format: $(STAMP) ## put the code into its one form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP) ## every method on 60 held-out cases
	$(BIN)/python launch.py bench --cases 60 --methods all --out build/bench --report build/report

bench-speed: $(STAMP) ## seconds and memory of what a person waits for
	$(BIN)/python launch.py speed

screenshots: $(STAMP) browser ## take the README's pictures anew
	$(BIN)/python tests/browser/screenshots.py assets/screenshots

baselines: $(STAMP) browser ## take the pictures anew that the browser tests compare with
	$(BIN)/python tests/browser/screenshots.py --baselines

train: $(STAMP) ## train the embedded models again: MINUTES= each, DEVICE=auto|cpu|cuda, MODELS='judge clip'
	for model in $(MODELS); do \
		$(BIN)/python -m pipelines.toybox.train $$model --minutes $(MINUTES) --device $(DEVICE) || exit 1; done
	$(BIN)/python -m pipelines.toybox.card

clean: ## remove what was built, not .venv
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	rm -rf $(PAGE)/node_modules
