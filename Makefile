# Two commands for a newcomer: `make demo` and `make test`. Both install what they need into .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check house mutate bench docs soak clean
demo: .venv/installed
	$(BIN)/flowpool demo

test: check
	$(BIN)/pytest --numprocesses 2 --dist loadfile

check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

house: .venv/installed-dev  # how hard it is to find the way in; ends with an error where it slid back
	$(BIN)/python -m tools.house --check

# Small mistakes in the policies, each against the policy's own tests: MODULES="calls/retry" SAMPLE=0 for all of one.
mutate: .venv/installed-dev
	$(BIN)/python -m tools.mutate $(MODULES) --sample $(or $(SAMPLE),20)

docs: .venv/installed-dev  # into build/site
	$(BIN)/python docs/make_site.py

bench: .venv/installed-bench
	$(BIN)/python -m bench

# The crash tests at length: KILLS=1000 SEEDS=10000 SEED=1.
soak: .venv/installed-dev
	$(BIN)/python -m tests.soak --kills $(or $(KILLS),1000) --seeds $(or $(SEEDS),10000) --seed $(or $(SEED),1)
	$(BIN)/python -m tests.soak.command

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	touch $@

.venv/installed-dev: .venv/installed .venv/any-llm/installed
	$(BIN)/pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/pip install --quiet --editable '.[documents]' --group dev --group frameworks
	touch $@

# any-llm-sdk wants an older client of Anthropic's than the tests do, and so has an environment of its own.
.venv/any-llm/installed: .venv/installed
	$(PYTHON) -m venv .venv/any-llm
	.venv/any-llm/bin/pip install --quiet --disable-pip-version-check --editable '.[any-llm]' pytest
	touch $@

.venv/installed-bench: .venv/installed-dev
	$(BIN)/pip install --quiet --group bench
	touch $@

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache
