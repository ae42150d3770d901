# Needs Python 3.11 or newer and make, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Three processes on two cores, as many tests wait; tests/conftest.py puts the longest files first.
SPREAD := --numprocesses 3 --dist loadfile --no-loadscope-reorder

.PHONY: help demo test check lint docs clean

# First, so that bare make starts nothing.
help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## /\1	/p' $(MAKEFILE_LIST) | expand -t 8

demo: $(VENV)/.installed ## train CAM and ADL on toy images and compare them, in demo/
	rm -rf demo
	$(BIN)/wsol demo --out demo

# One thread each: threads of two processes on two cores wait for each other.
test: $(VENV)/.installed-dev ## run all tests
	OMP_NUM_THREADS=1 $(BIN)/pytest $(SPREAD)

check: lint ## check style and types, and run the fast tests
	OMP_NUM_THREADS=1 $(BIN)/pytest $(SPREAD) -m "not slow"

lint: $(VENV)/.installed-dev ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/check_words.py

docs: $(VENV)/.installed-dev ## build the pages into docs/_build
	$(BIN)/sphinx-build -W -b html docs docs/_build

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "wsol needs Python 3.11 or newer; try make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable .
	$(BIN)/python -m wsol.maps
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable . --group dev
	touch $@

clean: ## remove .venv, demo/ and docs/_build
	rm -rf $(VENV) demo docs/_build
