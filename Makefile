# What contributors run. Everything happens in .venv, which the first target makes.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: check test fuzz bench docs man pictures wheel release ci clean

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

docs: .venv/made  ## the documentation as a site, in build/site
	$(BIN)/python docs/site/make_site.py build/site

man: .venv/made  ## the man pages, in build/man
	$(BIN)/python docs/site/man_pages.py build/man

pictures: .venv/made  ## rebuild the example report, the README's picture and the gallery
	$(BIN)/python docs/site/pictures.py

wheel:  ## a release wheel with compiled kernels, for this Python and this machine, in dist/
	$(PYTHON) deploy/build_wheel.py dist

release: .venv/made  ## wheel, source distribution, licences, SBOM and checksums, audited, in dist/
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[release]'
	$(BIN)/python deploy/release.py dist

ci:  ## what a change must pass, in a fresh environment
	bash .ci/run

clean:
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage
