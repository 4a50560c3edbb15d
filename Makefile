# What contributors run. Everything happens in .venv, which the first target makes.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: check test fuzz bench example wheel ci clean

.venv/made: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[test]'
	touch $@

check: .venv/made  ## lint, format, spelling, types, and the rules of the house: under a minute
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/mypy
	$(BIN)/pytest -q tests/test_architecture.py tests/resolver tests/names

test: .venv/made  ## all tests
	$(BIN)/pytest

fuzz: .venv/made  ## input that breaks a reader, searched for longer than the tests do; EXAMPLES=20000, EXECUTIONS=200000 (of each reader) for longer still
	PCAPKIT_FUZZ_EXAMPLES=$(or $(EXAMPLES),5000) $(BIN)/pytest -q tests/fuzz
	$(BIN)/python -m tests.twins.fuzz $(or $(EXAMPLES),5000)
	$(BIN)/python -m tests.fuzz.run --executions $(or $(EXECUTIONS),20000)

bench: .venv/made  ## time pcapkit beside its peers on small captures; benchmarks/README.md has the rest
	$(BIN)/python benchmarks/run.py --sizes 0.1

example: .venv/made  ## rebuild the example report and its picture
	$(BIN)/pcapkit analyze captures/lab/whatif_w1_glibc_ndots5.pcap -o reports/example
	chromium --headless=new --no-sandbox --hide-scrollbars --window-size=900,860 \
	  --force-device-scale-factor=1.1 --screenshot=reports/example/report.png \
	  reports/example/whatif_w1_glibc_ndots5/report.html

wheel:  ## a release wheel with compiled kernels, for this Python and this machine, in dist/
	$(PYTHON) deploy/build_wheel.py dist

ci:  ## what a change must pass, in a fresh environment
	bash .ci/run

clean:
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage
