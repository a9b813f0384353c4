# Three commands do everything, set-up included: `make demo`, `make check` (minutes) and `make test` (all).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
WORKERS ?= 2
LIBRARY := src/fitwell/engine/dense_epoch.so
SOURCES := $(shell find src -name '*.py') $(LIBRARY:.so=.c) hatch_build.py pyproject.toml README.md LICENSE

NODE_PACKAGES := node_modules/.package-lock.json
COMPILED := $(CURDIR)/$(VENV)/compiled
TESTS := ../$(BIN)/python -m pytest . -c ../pyproject.toml --rootdir=.. -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: demo check test lint road bench browser clean

# with what tables need, and no more: neither Keras nor JAX
demo: $(VENV)/lean
	$(BIN)/fitwell demo

# for daily work: the sources as they are, without the tests marked slow; what XLA compiled stays for the next time, a week long
check: lint $(LIBRARY) $(NODE_PACKAGES) browser
	mkdir -p $(COMPILED) && find $(COMPILED) -type f -mtime +7 -delete
	cd tests && PYTHONPATH="$(CURDIR)/src" FITWELL_TESTS_CACHE="$(COMPILED)" $(TESTS) -m "not slow" $(PYTEST)

# what users install is what is tested: the built wheel, with all its dependencies compiled to byte code; says what took long
test: $(INSTALLED) lint $(NODE_PACKAGES) browser
	cd tests && $(TESTS) --durations=30 --durations-min=8 $(PYTEST)

lint: $(VENV)/dependencies
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

# the modules that `tune(table)` passes, and the calls between them
road: $(INSTALLED)
	$(BIN)/python tests/support/road.py

bench: $(INSTALLED) $(NODE_PACKAGES)
	$(BIN)/python benchmarks/epochs.py
	$(BIN)/python benchmarks/digits.py
	$(BIN)/python benchmarks/growth.py
	$(BIN)/python benchmarks/answer.py
	$(BIN)/python benchmarks/keras_models.py
	$(BIN)/python benchmarks/second_search.py
	$(BIN)/python benchmarks/convolutions.py
	$(BIN)/python benchmarks/calibration.py

# TensorFlow.js; without Node the tests that need it say that they were skipped
$(NODE_PACKAGES): package.json package-lock.json
	@if command -v npm > /dev/null; then npm ci --no-audit --no-fund --ignore-scripts && touch $@; \
	else echo "npm is missing, so nothing will be compared with TensorFlow.js: install Node 20."; fi

# for the page tests: Debian's, if there is none and we may install it; else they say that they were skipped
browser:
	@for name in chromium chromium-browser google-chrome; do command -v $$name > /dev/null && exit 0; done; \
	[ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null && apt-get update -qq > /dev/null \
	&& DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium > /dev/null 2>&1 \
	|| echo "Chromium is missing, so the example page will not be tested: install it as root."

$(VENV)/tools: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --no-compile --group dev
	touch $@

# they come with fitwell itself, whose sources `make lint` and `make check` then read where they are
$(VENV)/dependencies: $(VENV)/tools
	$(BIN)/python -m pip install --quiet --no-compile --no-build-isolation ".[keras]"
	$(BIN)/python -m compileall -q -j 0 $(VENV)/lib > /dev/null || true
	touch $@

# beside its source, for who runs the sources as they are; a wheel compiles its own
$(LIBRARY): $(LIBRARY:.so=.c) hatch_build.py | $(VENV)/tools
	$(BIN)/python hatch_build.py

$(INSTALLED): $(VENV)/dependencies $(SOURCES)
	rm -rf build dist
	$(BIN)/python -m build --wheel --no-isolation --outdir dist . > /dev/null
	$(BIN)/python -m pip install --quiet --force-reinstall --no-deps dist/*.whl
	touch $@

$(VENV)/lean: $(SOURCES)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check .
	touch $@

clean:
	rm -rf $(VENV) build dist node_modules $(LIBRARY) .pytest_cache .ruff_cache .hypothesis
