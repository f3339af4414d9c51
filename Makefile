# make run     set up .venv, train a built-in problem on both backends, print how closely they agree
# make test    set up .venv with what the tests need, run them
# make test-exact  numerics="exact" alone: the same bits in both, with the variables that it needs (make test runs it too)
# make check   what CI holds every change to: format, lint, types, tests
# make docs    build the documentation into site/, with every warning an error
# make accuracy  both tables of docs/accuracy.md: each backend against 50 digits, torch against JAX (minutes; tests/accuracy.py --write)
# make bench   speed as ratios, in one run
# make sensitivity  rounding or fault: what one last place of the start becomes, problem by problem (minutes)
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: run test test-exact check format docs accuracy bench bench-maps sensitivity clean

run: $(VENV)/installed
	$(BIN)/isoparam train linkage --backend both

test: $(VENV)/installed-test
	$(BIN)/python -m pytest -n 2 --dist loadgroup

test-exact: $(VENV)/installed-test
	ATEN_CPU_CAPABILITY=default XLA_FLAGS=--xla_cpu_max_isa=AVX $(BIN)/python -m pytest tests/parity/test_exact.py

check: $(VENV)/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(MAKE) test

format: $(VENV)/installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/installed-test
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

accuracy: $(VENV)/installed-test
	$(BIN)/python tests/accuracy.py

bench: $(VENV)/installed-test
	$(BIN)/python -m benchmarks

bench-maps: $(VENV)/installed-test
	$(PIP) install -c constraints.txt geotorch
	$(BIN)/python -m benchmarks.transforms

sensitivity: $(VENV)/installed-test
	$(BIN)/python -m benchmarks.sensitivity

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# torch first and by its exact version: a plain `torch` brings gigabytes of CUDA.
$(VENV)/installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) install -c constraints.txt "$$(grep '^torch==' constraints.txt)"
	$(PIP) install -c constraints.txt --editable '.[all]'
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(PIP) install -c constraints.txt --editable '.[all,test]'
	touch $@

$(VENV)/installed-dev: $(VENV)/installed-test
	$(PIP) install -c constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache site
