# Two commands on a bare machine: make quickstart, make test.
PYTHON ?= python3
VENV ?= .venv
LOWEST_VENV ?= .venv-lowest
ORACLE_VENV ?= .venv-oracle
BIN := $(VENV)/bin
QUICKSTART_DIR ?= runs/quickstart

.PHONY: install quickstart test test-lowest test-oracle test-faults quality style docs clean

install: $(VENV)/.installed

$(VENV)/.installed: setup.cfg pyproject.toml requirements.txt constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

quickstart: install
	$(BIN)/python scripts/quickstart.py --output-dir $(QUICKSTART_DIR) --overwrite

test: install
	$(BIN)/python -m pytest

# The tests with the lowest versions that requirements.txt allows. PyTorch's build for CUDA comes with it: several GB.
test-lowest: $(LOWEST_VENV)/.installed
	$(LOWEST_VENV)/bin/python -m pytest

$(LOWEST_VENV)/.installed: setup.cfg pyproject.toml requirements.txt constraints-lowest.txt
	$(PYTHON) -m venv $(LOWEST_VENV)
	$(LOWEST_VENV)/bin/python -m pip install --quiet --constraint constraints-lowest.txt --editable '.[dev]'
	touch $@

# Our formulas against those of RSMTool, which takes an environment of its own: it needs NumPy 1, and brings Jupyter with it.
test-oracle: install $(ORACLE_VENV)/.installed
	TRM_AES_ORACLE_PYTHON=$(abspath $(ORACLE_VENV))/bin/python $(BIN)/python -m pytest -n 0 -m oracle -rP

$(ORACLE_VENV)/.installed: requirements-oracle.txt
	$(PYTHON) -m venv $(ORACLE_VENV)
	$(ORACLE_VENV)/bin/python -m pip install --quiet --requirement requirements-oracle.txt
	touch $@

# Programs killed at random moments, then run again: some minutes.
test-faults: install
	$(BIN)/python -m pytest -n 0 -m slow

quality: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

style: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

$(VENV)/.docs: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@

# Of runs/, where people keep what they train, only the quickstart goes.
clean:
	rm -rf $(VENV) $(LOWEST_VENV) $(ORACLE_VENV) $(QUICKSTART_DIR) build *.egg-info
