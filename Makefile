# Two commands: `make run` (the main job) and `make test`. Both set everything up first.
.DEFAULT_GOAL := help
PYTHON3 ?= python3
PY := .venv/bin/python
STUDY ?= models/bordeaux-metropole-2022.toml
OUT ?= releases/bordeaux-metropole-2022
# Small products run faster on one thread, and the bytes do not depend on the machine.
export OMP_NUM_THREADS = 1
export OPENBLAS_NUM_THREADS = 1
export MKL_NUM_THREADS = 1

.PHONY: help setup run france test check lint validate nightly lock wheel clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort

setup: ## make .venv from the pinned requirements
	@$(PYTHON3) tools/bootstrap.py

run: setup ## estimate Bordeaux Métropole 2022 into releases/
	@$(PY) -m inegnum run $(STUDY) --out $(OUT) --replace

france: setup ## estimate every commune of metropolitan France into releases/ (minutes)
	@$(PY) -m inegnum run models/france-2022.toml --out releases/france-2022 --replace

test: setup ## the tests and the examples of the docstrings, without slow simulations and browser
	@$(PY) -m pytest -q -n auto --maxprocesses 4 -m "not slow and not browser and not nuts" \
		--doctest-modules tests src/inegnum

lint: setup ## format, lint, types, import contracts
	@.venv/bin/ruff format --check . && .venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports

check: lint ## everything CI runs
	@bash .ci/run

validate: setup ## the whole validation ladder, full level (a quarter of an hour)
	@$(PY) -m inegnum validate --level full --out validation

nightly: setup ## what is too slow for every change: NUTS and its simulation-based calibration
	@$(PY) -m pytest -q -m "nuts" tests

wheel: setup ## build the wheel and check it in a clean environment
	@$(PY) tools/check_wheel.py

lock: setup ## renew the pinned requirements
	@$(PY) tools/lock.py

clean: ## remove the environment and caches
	@rm -rf .venv .tools dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
