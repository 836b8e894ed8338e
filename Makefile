# What one does with guardrail. `make` alone lists it.

# The first Python that is new enough; another one: make PYTHON=/path/to/python
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check install
STRICTEST := src/guardrail/core/*,src/guardrail/admission/*

# Its version is pinned; it need not look for a newer one.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

.DEFAULT_GOAL := help
.PHONY: help venv demo demo-redis test lint types cov bench fmt clean

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

venv: .venv/dev ## build .venv with all that development needs

demo: .venv/demo ## guard a real HTTP service, live, and check what is shown
	$(BIN)/python -m guardrail demo

demo-redis: .venv/demo-redis ## the same show with several processes, over a Redis that it starts itself
	$(BIN)/python -m guardrail demo --redis

test: lint types cov ## everything that CI checks

lint: .venv/dev ## ruff: mistakes and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: .venv/dev ## mypy strict and pyright
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

cov: .venv/dev ## all tests, with branch coverage: core and admission 100 %, the whole 95 %
	$(BIN)/python -m pytest -n 2 --cov --cov-report=
	$(BIN)/coverage report --include='$(STRICTEST)' --fail-under=100
	$(BIN)/coverage report --fail-under=95

bench: .venv/bench ## cost per call, ours and the peers' in the same run
	$(BIN)/python bench/inprocess.py
	$(BIN)/python bench/redis.py
	$(BIN)/python bench/asgi.py
	$(BIN)/python bench/grpc.py

fmt: .venv/dev ## let ruff mend what it can
	$(BIN)/ruff check --fix --exit-zero
	$(BIN)/ruff format

clean: ## remove all that was made
	rm -rf .venv build dist htmlcov .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: what is installed stays so until pyproject.toml changes. pip 25.1 is the first that reads dependency groups.
.venv/made:
	@test -n '$(PYTHON)' || { echo 'guardrail needs Python 3.11 or newer: make PYTHON=/path/to/python'; exit 1; }
	$(PYTHON) -m venv .venv
	$(PIP) --upgrade 'pip>=25.1'
	@touch $@

.venv/demo: pyproject.toml | .venv/made
	$(PIP) --editable '.[cli]' --group demo
	@touch $@

.venv/demo-redis: pyproject.toml | .venv/made
	$(PIP) --editable '.[cli,redis]' --group demo-redis
	@touch $@ .venv/demo

.venv/dev: pyproject.toml | .venv/made
	$(PIP) --editable '.[cli,watch,redis]' --group dev
	@touch $@ .venv/demo .venv/demo-redis

.venv/bench: .venv/dev
	$(PIP) --group bench
	@touch $@
