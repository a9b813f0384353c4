# Two commands do everything, set-up included: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
WORKERS ?= 2
SOURCES := $(shell find src -name '*.py') pyproject.toml README.md LICENSE

.PHONY: demo test lint bench clean

demo: $(INSTALLED)
	$(BIN)/fitwell demo

# what users install is what is tested: the built wheel, with all its dependencies compiled to byte code
test: lint
	cd tests && ../$(BIN)/python -m pytest . -c ../pyproject.toml --rootdir=.. -n $(WORKERS) --dist loadfile $(PYTEST)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

bench: $(INSTALLED) benchmarks/node_modules
	$(BIN)/python benchmarks/digits.py
	$(BIN)/python benchmarks/growth.py
	$(BIN)/python benchmarks/answer.py
	$(BIN)/python benchmarks/keras_models.py
	$(BIN)/python benchmarks/convolutions.py

benchmarks/node_modules: benchmarks/package.json benchmarks/package-lock.json
	cd benchmarks && npm ci --no-audit --no-fund --ignore-scripts
	touch $@

$(VENV)/tools: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --group dev
	touch $@

$(INSTALLED): $(VENV)/tools $(SOURCES)
	rm -rf build dist
	$(BIN)/python -m build --wheel --no-isolation --outdir dist . > /dev/null
	$(BIN)/python -m pip install --quiet --force-reinstall --no-deps dist/*.whl
	$(BIN)/python -m pip install --quiet dist/*.whl
	$(BIN)/python -m compileall -q $(VENV)/lib > /dev/null || true
	touch $@

clean:
	rm -rf $(VENV) build dist benchmarks/node_modules .pytest_cache .ruff_cache .hypothesis
