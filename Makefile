# Two commands for a newcomer: `make demo` and `make test`. Both install what they need into .venv, at the versions
# that requirements/ locks.
PYTHON ?= python3
BIN := .venv/bin
PACKAGES := $(PYTHON) tools/packages.py
# Whoever has nothing left to do takes tests from the other.
ON_TWO_CORES := --numprocesses 2 --dist worksteal

# Tests start hundreds of processes: each would compile all anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-frameworks test-browser newest coverage check lock house mutate bench bench-pages docs soak clean
demo: .venv/installed
	$(BIN)/flowpool demo

test: check
	$(BIN)/pytest $(ON_TWO_CORES)

# LangChain, DSPy, LlamaIndex, pydantic-ai and any-llm: what they need is 600 MB.
test-frameworks: .venv/frameworks/installed
	.venv/frameworks/bin/pytest tests/frameworks

# The pages, in Chromium: Debian's, installed by apt-get where there is none.
test-browser: .venv/browser/installed
	$(PYTHON) tools/chromium.py
	.venv/browser/bin/pytest tests/browser

# The tests with the newest release of everything, the lock left aside.
newest:
	$(PACKAGES) newest .venv/newest dev
	.venv/newest/bin/pytest $(ON_TWO_CORES)
	$(PACKAGES) newest .venv/newest-frameworks frameworks
	.venv/newest-frameworks/bin/pytest tests/frameworks

# What of src/ the tests run, their processes included; fails under the floor in pyproject.toml.
coverage: .venv/installed-dev
	rm -rf build/coverage
	$(BIN)/coverage run -m pytest $(ON_TWO_CORES)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --skip-covered

check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --num-workers 2

house: .venv/installed-dev  # how hard it is to find the way in; ends with an error where it slid back
	$(BIN)/python -m tools.house --check

# Small mistakes in the policies, each against the policy's own tests: MODULES="calls/retry" SAMPLE=0 for all of one.
mutate: .venv/installed-dev
	$(BIN)/python -m tools.mutate $(MODULES) --sample $(or $(SAMPLE),20)

# Writes requirements/ anew with the newest releases; `make lock KEEP=--keep` adds what pyproject.toml has gained.
lock:
	$(PACKAGES) lock $(KEEP)

docs: .venv/installed-dev  # into build/site
	$(BIN)/python docs/make_site.py

bench: .venv/installed-bench
	$(BIN)/python -m bench

# Main content beside trafilatura's, on three public sets of GitHub: clone them into a folder and say PAGES=folder.
# Without one it says what to clone.
bench-pages: .venv/installed-dev
	$(BIN)/python -m bench pages $(PAGES)

# The crash tests at length: KILLS=1000 SEEDS=10000 SEED=1.
soak: .venv/installed-dev
	$(BIN)/python -m tests.soak --kills $(or $(KILLS),1000) --seeds $(or $(SEEDS),10000) --seed $(or $(SEED),1)
	$(BIN)/python -m tests.soak.command
	$(BIN)/python -m tests.wire.bodies --tries 20000 --seed $(or $(SEED),1)

.venv/installed: pyproject.toml requirements/demo.txt
	$(PACKAGES) install .venv demo
	touch $@

.venv/installed-dev: pyproject.toml requirements/dev.txt
	$(PACKAGES) install .venv dev
	touch .venv/installed $@

.venv/installed-bench: .venv/installed-dev requirements/bench.txt
	$(PACKAGES) install .venv bench
	touch $@

.venv/browser/installed: pyproject.toml requirements/browser.txt
	$(PACKAGES) install .venv/browser browser
	touch $@

.venv/frameworks/installed: pyproject.toml requirements/frameworks.txt
	$(PACKAGES) install .venv/frameworks frameworks
	touch $@

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache
