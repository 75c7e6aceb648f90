# `make demo` and `make test` set up what they need; `make check` is what CI runs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo test check lint types clean

demo: $(INSTALLED)
	@$(BIN)/python examples/quickstart.py

test: $(INSTALLED)
	@$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --cov --cov-report=term

check: lint types test

lint: $(INSTALLED)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(INSTALLED)
	@$(BIN)/mypy

# The pins are exact so that what was tested is what is installed; torch's pin also keeps pip
# from fetching another build of it.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "toolret needs Python 3.11 or newer")'
	@echo "Setting up $(VENV); this takes a few minutes the first time."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[offline,dev]'
	@touch $@

clean:
	rm -rf $(VENV) .demo build dist
