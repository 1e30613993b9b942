# The two commands: `make demo` shows it, `make test` tries all of it. Neither needs a step before it.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin

.PHONY: demo test lint bench docs cluster-up cluster-down clean

demo: $(VENV)/installed
	$(BIN)/will-it-compile check docs/examples/hello.cpp

test: $(VENV)/installed-for-development
	tests/prepare
	$(BIN)/pytest $(PYTEST_ARGUMENTS)

lint: $(VENV)/installed-for-development
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/installed-for-development
	tests/prepare
	$(BIN)/python -m compileall -q willitcompile
	$(BIN)/python tests/benchmarks/bench.py

# A Kubernetes cluster that stays until it is taken down. Where tests have to run in one they start it by themselves.
cluster-up: $(VENV)/installed-for-development
	WIC_REQUIRE=kubernetes tests/prepare
	$(BIN)/python -m tests.cluster up

cluster-down: $(VENV)/installed-for-development
	$(BIN)/python -m tests.cluster down

docs: $(VENV)/installed-for-development
	$(BIN)/python -m tests.docs.cli_reference --write
	$(BIN)/python -m tests.docs.api_reference --write
	$(BIN)/python -m tests.docs.chart_reference --write

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("will-it-compile needs Python 3.11 or later; try: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/python pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check -e .
	@# As pip does for what is not editable: where bytecode may not be written later, each start would compile anew.
	$(BIN)/python -m compileall -q willitcompile
	@touch $@

$(VENV)/installed-for-development: $(VENV)/installed
	$(BIN)/pip install --quiet --disable-pip-version-check $$($(BIN)/python tests/requirements.py)
	@touch $@

clean:
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
