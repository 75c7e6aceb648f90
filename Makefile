# `make demo` and `make test` set up what they need; `make check` is what CI runs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

.PHONY: demo test check lint types coverage clean

demo: $(INSTALLED)
	@$(BIN)/python examples/quickstart.py

test: $(INSTALLED)
	@$(PYTEST)

check: lint types test

lint: $(INSTALLED)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(INSTALLED)
	@$(BIN)/mypy

# Apart from `make test`, since it takes twice as long.
coverage: $(INSTALLED)
	@$(PYTEST) --cov --cov-report=term

# The pins are exact so that what was tested is what is installed; torch's pin also keeps pip
# from fetching another build of it. Modules are compiled when they are first imported, as most never
# are: compiling all takes as long as the rest of the installation.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "toolret needs Python 3.11 or newer")'
	@echo "Setting up $(VENV); this takes a few minutes the first time."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --no-compile --constraint constraints.txt --editable '.[offline,dev]'
	@touch $@

clean:
	rm -rf $(VENV) .demo build dist
