# make benchmark   environment, embedded quickstart run, results, figures, report
# make test        environment, the tests but for the slow ones
# make slow        environment, the slow tests: whole programs, servers and faults, a second or more each
# make integration what needs root, apt and heavy installs; TESTS=--tests runs the tests beside it
# make check       ruff, mypy, codespell, bandit, pip-audit where PyPI's JSON API is reachable
# make docs        the reference from the code, and the site into site/
# make coverage    branch coverage of the default tests, processes that they start included
# make soak        the long tests: dozens of kills, every framework's environment
# make prove       the promises, faults injected for real; ARGS="--seed 1" plays them again
# make perf        all measurements into perf/results.md; PERF="--quick" or "--only overhead"

SHELL := /bin/bash
# A Python that starts and is new enough (a version manager's shim may do neither).
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' \
	2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
JOBS ?= 3
# Lanes of integration tests at once; most of their time is waiting.
LANES ?= 5

.PHONY: benchmark test slow integration check audit docs screenshots soak coverage prove perf env clean

benchmark: env
	$(BIN)/python main.py resume-compute --config quickstart --run quickstart
	$(BIN)/python main.py fetch-results --config quickstart --run quickstart
	$(BIN)/python main.py run-analysis --config quickstart
	@echo "Results: compiled_results.csv; figures: figures/; report: report.html; main.py status --run quickstart"

# Hundreds of tests start the program; where Python is told to write no bytecode each would compile it.
test: $(VENV)/.ready-dev
	$(BIN)/python -m compileall -q benchmark prove tests
	$(BIN)/python -m pytest -n $(JOBS) -m "not integration and not slow"

slow: $(VENV)/.ready-dev
	$(BIN)/python -m compileall -q benchmark prove tests
	$(BIN)/python -m pytest -n $(JOBS) -m "slow and not integration"

integration: $(VENV)/.ready-dev
	$(BIN)/python -m tests.support.system_packages
	$(BIN)/python -m uv pip install --quiet --compile-bytecode --python $(BIN)/python -c requirements-dev.txt \
		-r requirements-ray.txt
	$(BIN)/python -m compileall -q benchmark prove tests
	$(BIN)/python -m tests.support.lanes --jobs $(LANES) $(TESTS)

# Modules whose messages, docstrings and comments are free of the words in docs/generate/words.txt.
PLAIN := benchmark main.py

check: $(VENV)/.ready-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/codespell docs/*.md docs/*/*.md README.md
	$(BIN)/python -m docs.generate.words $(PLAIN)
	$(BIN)/bandit -q -c pyproject.toml -r benchmark main.py
	$(BIN)/python -m tests.support.audit

audit: $(VENV)/.ready-dev
	$(BIN)/python -m tests.support.audit

docs: $(VENV)/.ready-dev
	$(BIN)/python -m docs.generate
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs --quiet build --strict

# The pictures of docs/images that Chromium takes of a report of generated results.
screenshots: $(VENV)/.ready-dev
	SCREENSHOTS=docs/images $(BIN)/python -m pytest -m integration -k pictures tests/docs/test_screenshots.py

soak: $(VENV)/.ready-dev
	$(BIN)/python -m tests.support.system_packages
	$(BIN)/python -m pytest -m soak --color=no $(ARGS)

coverage: $(VENV)/.ready-dev
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest -n $(JOBS) -m "not integration"
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

prove: $(VENV)/.ready-dev
	$(BIN)/python -m prove $(ARGS)

perf: $(VENV)/.ready-dev
	$(BIN)/python -m perf $(PERF)

env: $(VENV)/.ready

$(VENV)/.ready: pre-requirements.txt requirements.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 to 3.13 with venv is needed and was not found;" \
		"install it, or name it: make PYTHON=/path/to/python3"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r pre-requirements.txt
	$(BIN)/python -m uv pip install --quiet --compile-bytecode --python $(BIN)/python -r requirements.txt
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready requirements-dev.txt
	$(BIN)/python -m uv pip install --quiet --compile-bytecode --python $(BIN)/python -r requirements.txt -r requirements-dev.txt
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache
