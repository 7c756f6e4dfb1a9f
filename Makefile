# `make` lists the verbs. Each sets itself up first: a Python environment in .venv, filled from the
# lock files with every hash checked. `make test` also wants the Debian packages of
# scripts/test-packages.txt, which it installs where it may and names where it may not.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory --no-builtin-rules

PYTHON ?= python3
WORKERS ?= 2
ARGS ?=
BIN := .venv/bin
export PYTHON

.PHONY: help setup demo check fix test test-real bench fleet lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

setup: ## the Python environment for development, in .venv
	@scripts/setup dev

demo: ## a sample fleet on http://127.0.0.1:3691 (needs no root; stop with Ctrl-C)
	@scripts/setup run
	@exec $(BIN)/imagecatalog demo $(ARGS)

check: ## style, types, import contracts, shape and docs; under a minute
	@scripts/setup dev
	@scripts/check

fix: ## format the code and mend what ruff can mend
	@scripts/setup dev
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

test: ## every test but those against compiled peers (ARGS="-k NAME" picks some)
	@scripts/setup dev
	@scripts/system-packages
	@$(BIN)/python -m pytest -m "not compiled" -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

test-real: ## the tests against peers that must be compiled first
	@scripts/setup dev
	@scripts/system-packages
	@scripts/test-compiled $(ARGS)

bench: ## the benchmarks, each figure also as a ratio (ARGS="NAME…" picks some)
	@scripts/setup dev
	@exec $(BIN)/python -m benchmarks $(ARGS)

fleet: ## make the demo's sample fleet anew, from the archive that this machine's apt uses
	@scripts/setup dev
	@exec $(BIN)/python scripts/make_fleet.py $(ARGS)

lock: ## the lock files anew, from pyproject.toml (needs uv; ARGS=--upgrade takes newer versions)
	@scripts/lock $(ARGS)

clean: ## everything that was made here: environment, caches, the demo's catalog
	@rm -rf .venv .cache .demo dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
