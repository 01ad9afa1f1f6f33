# make demo   the proxy in front of a sample backend: open http://127.0.0.1:8080/
#             (make demo TLS=1: the same over HTTPS, with a certificate of a local root)
# make test   lint, types, tests
# make fuzz   a coverage-guided fuzzer on the parsers and the proxy, FUZZ_TIME seconds each; see docs/fuzzing.rst
# make soak   the proxy for MINUTES (5) under load, reloaded, upgraded, its workers killed: what was lost, what is held
# All need python3 and make, and bring the rest into .venv. PYTHON chooses the interpreter, PORT the demo's port.

PYTHON ?= python3
PORT ?= 8080
TLS ?=
PYTEST_ARGS ?=
FUZZ_TIME ?= 60
MINUTES ?= 5

VENV := .venv
BIN := $(VENV)/bin
SSLYZE := .venv-sslyze
# Pages and code are not copied by an editable install, so only what it reads makes it old.
SOURCES := setup.cfg pyproject.toml revproxy/_version.py

# "compat" puts this folder itself on sys.path: twistd looks for plugins in folders, and would not see
# ours through an import hook.
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --config-settings editable_mode=compat

.PHONY: demo test lint types websocket-suite bench soak fuzz dist clean

demo: $(VENV)/demo.stamp
	@exec $(BIN)/python -m revproxy.demo --with-proxy $(if $(filter-out 0 no off,$(TLS)),--tls) --port $(PORT)

# All three run, even after one failed: one run tells everything that is wrong. The tests run on every core;
# PYTEST_ARGS="-n 0 ..." runs them one after the other. All processes hash alike, or they would name tests of sets
# differently.
test: $(VENV)/test.stamp $(SSLYZE)/stamp
	@failed=; \
	$(BIN)/ruff check --quiet . || failed="$$failed ruff"; \
	$(BIN)/mypy || failed="$$failed mypy"; \
	PYTHONHASHSEED=$$($(BIN)/python -c 'import random; print(random.randrange(1 << 32))') \
		$(BIN)/python -m pytest -n auto --dist loadfile $(PYTEST_ARGS) || failed="$$failed pytest"; \
	[ -z "$$failed" ] || { echo "failed:$$failed" >&2; exit 1; }

lint: $(VENV)/test.stamp
	$(BIN)/ruff check .

types: $(VENV)/test.stamp
	$(BIN)/mypy

# The public WebSocket conformance cases, without and with the proxy; `make test` runs a few of them.
websocket-suite: $(VENV)/test.stamp
	$(BIN)/python -m tests.websocket_suite

bench: $(VENV)/bench.stamp
	$(BIN)/python -m benchmarks

# The exit code is 1 if anything was lost that no killed worker carried, or if the processes hold more than before.
soak: $(VENV)/test.stamp
	@$(BIN)/python -m tests.soak --minutes $(MINUTES)

# Stops at the first mistake, with a file that shows it again. Where atheris has no wheel, it says so and goes on without.
fuzz: $(VENV)/fuzz.stamp
	@$(BIN)/python -m fuzz run --time $(FUZZ_TIME)

dist: $(VENV)/test.stamp
	$(BIN)/python -m build --outdir dist .

clean:
	rm -rf $(VENV) $(SSLYZE) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis fuzz/corpus fuzz/findings
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Debian's python3 comes without ensurepip: then virtualenv does, if it is there, and a clear word if it is not.
$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not installed: apt install python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
		echo "revproxy needs Python 3.10 or newer; make PYTHON=... chooses one" >&2; exit 1; }
	@echo "creating $(VENV)"
	@if $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then $(PYTHON) -m venv $(VENV); \
	elif $(PYTHON) -c 'import virtualenv' 2>/dev/null; then $(PYTHON) -m virtualenv --quiet $(VENV); \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "installing python3-venv, which Debian's python3 comes without"; \
		apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y python3-venv >/dev/null && \
		$(PYTHON) -m venv $(VENV); \
	else echo "$(PYTHON) cannot create virtual environments here: apt install python3-venv" >&2; exit 1; fi

$(VENV)/%.stamp: $(SOURCES) | $(BIN)/python
	@echo "installing revproxy with what '$*' needs into $(VENV)"
	@$(INSTALL) --editable '.[$*]'
	@touch $@

# An environment of its own: sslyze's pins clash with ours. Where it has no wheels, its test says so and skips.
$(SSLYZE)/stamp: | $(VENV)/test.stamp
	@echo "installing sslyze into $(SSLYZE)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip>=22.3'
	@$(BIN)/python -m venv --without-pip $(SSLYZE)
	@$(BIN)/python -m pip --python $(SSLYZE)/bin/python install --quiet --disable-pip-version-check 'sslyze>=6.3' \
		&& touch $@ || echo "sslyze can't be installed here" >&2
