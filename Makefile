# Every target sets itself up in .venv: Python 3.11+, git and make are enough.
PYTHON ?= python3

BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# Two levels: what the package needs to run, and on top of it the tools of developers.
RUNTIME := .venv/.runtime
DEV := .venv/.dev
# What `make bench` times; Geant4 and its data sets are needed for the first option.
BENCH ?= --models groupwise-eplus,groupwise-gamma,groupwise-piplus,caloman-eplus,caloman-gamma,caloman-piplus,caloflow-eplus --geant4 --peers

.PHONY: demo test test-slow lint bench clean

demo: $(RUNTIME)
	$(BIN)/caloforge demo -o demo

# Workers share the cores: threads that wait for each other must not spin.
test: $(DEV)
	OMP_WAIT_POLICY=passive $(BIN)/python -m pytest -m "not slow" -n 2

test-slow: $(DEV)
	$(BIN)/python -m pytest -m slow

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/codespell

bench: $(DEV)
	$(BIN)/caloforge benchmark $(BENCH) --overwrite -o benchmarks/results/timing
	$(BIN)/python benchmarks/precision_and_compiling.py -o benchmarks/results/precision-and-compiling.json
	$(BIN)/python benchmarks/memory.py -o benchmarks/results/memory.json
	$(BIN)/python benchmarks/features.py -o benchmarks/results/features.json

clean:
	rm -rf demo build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.11") if sys.version_info < (3, 11) else 0'
	$(PYTHON) -m venv .venv

$(RUNTIME): pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) -e .
	touch $@

$(DEV): pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) -e ".[dev]"
	touch $@ $(RUNTIME)
