# The commands of this project. Everything is installed into .venv by pip; nothing outside it is touched.
#
#   make demo     answer questions over long documents, nothing downloaded but packages
#   make test     lint, types, floors and the whole test suite
#   make lint · types · docs · bench · faults     one part each
#   make format   let ruff rewrite the layout
#   make clean    remove what the others made
#
# A second call finds the stamps in .venv and installs nothing. Another Python: make PYTHON=python3.13 test

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet
PINNED := --constraint .ci/constraints.txt
PYTEST := $(BIN)/python -m pytest
BENCHMARKS ?= orchestration waiting servers peers import_time encoders generation concurrency splitting ledger \
	beyond_the_window proved store sharing quality

# Two threads at most: results don't depend on the machine's size, and small models are quicker without more.
export OMP_NUM_THREADS ?= 2
export MKL_NUM_THREADS ?= 2
export TOKENIZERS_PARALLELISM ?= false
# No test may fetch a model; those marked `network` are asked for by name, with HF_HUB_OFFLINE=0.
export HF_HUB_OFFLINE ?= 1

.DEFAULT_GOAL := help
.PHONY: help demo test lint types floors suite docs bench faults format clean

help:
	@sed -n '3,/^$$/s/^# \{0,1\}//p' Makefile

# ── installing ───────────────────────────────────────────────────────────────────────────────────────────────────

# Python 3.11 bundles pip 23.2, which knows no dependency groups: pip comes first, and by itself.
$(VENV)/.pip:
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("flowchain needs Python 3.11 or newer: make PYTHON=…")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade 'pip>=25.1'
	@touch $@

$(VENV)/.demo: $(VENV)/.pip pyproject.toml .ci/constraints.txt
	$(PIP) $(PINNED) --editable '.[documents]'
	@touch $@

$(VENV)/.dev: $(VENV)/.demo
	$(PIP) $(PINNED) --group dev --editable '.[transformers,documents,openai]'
	@touch $@

$(VENV)/.bench: $(VENV)/.dev
	$(PIP) $(PINNED) --group bench
	@touch $@

$(VENV)/.docs: $(VENV)/.demo
	$(PIP) $(PINNED) --group docs
	@touch $@

# ── using ────────────────────────────────────────────────────────────────────────────────────────────────────────

demo: $(VENV)/.demo
	$(BIN)/python examples/long_document_qa.py

test: lint types floors suite

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.dev
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

floors: $(VENV)/.dev
	$(BIN)/lint-imports

suite: $(VENV)/.dev
	$(PYTEST)

faults: $(VENV)/.dev
	HYPOTHESIS_PROFILE=long $(PYTEST) -m slow --timeout 3600

docs: $(VENV)/.docs
	$(BIN)/zensical build --strict --clean --config-file .zensical.toml

# Ratios of interleaved runs, so that a busy machine spoils a round and not the table.
# One table alone: make bench BENCHMARKS=peers
bench: $(VENV)/.bench
	@set -e; for name in $(BENCHMARKS); do echo "── $$name"; $(BIN)/python -m tests.benchmarks.$$name; done

format: $(VENV)/.dev
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

clean:
	rm -rf $(VENV) site build dist .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
