# Two commands do everything on a fresh machine with Python 3.11 and make: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint bench bench-watch install busybox terminals postgresql registries clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	$(BIN)/python -m compileall -q compose runtime netplan
	touch $@

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The end-to-end tests and the benchmark run a static busybox; without it they skip and say so.
busybox:
	@ldd $$(command -v busybox || echo /none) 2>&1 | grep -q 'not a dynamic' || [ "$$(id -u)" != 0 ] || \
		! command -v apt-get >/dev/null || { apt-get update -q && apt-get install -q -y busybox-static; } >/dev/null || true

# Some tests look at a real terminal and at real shells; without these they skip and say so.
terminals:
	@command -v tmux >/dev/null && command -v zsh >/dev/null && command -v fish >/dev/null || [ "$$(id -u)" != 0 ] || \
		! command -v apt-get >/dev/null || { apt-get update -q && apt-get install -q -y tmux zsh fish; } >/dev/null || true

# The tests of resets run PostgreSQL; without it they skip and say so. Its packages must not start a server.
postgresql:
	@ls /usr/lib/postgresql >/dev/null 2>&1 || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || \
		{ mkdir -p /etc/postgresql-common && \
		{ [ -e /etc/postgresql-common/createcluster.conf ] || \
		echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf; } && \
		DEBIAN_FRONTEND=noninteractive apt-get install -q -y postgresql; } >/dev/null || true

# The tests of registries talk to the distribution project's own, and to skopeo and umoci; without it they skip and say so.
registries:
	@command -v docker-registry >/dev/null || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || \
		{ apt-get update -q && apt-get install -q -y docker-registry skopeo umoci apache2-utils; } >/dev/null || true

test: install busybox terminals postgresql registries
	$(MAKE) --no-print-directory lint
	$(BIN)/python -m pytest

demo: install
	@$(BIN)/python examples/demo.py

bench: install busybox
	$(BIN)/python bench/load.py
	$(BIN)/python bench/run.py $(BENCH)

bench-watch: install busybox
	$(BIN)/python bench/watch.py $(BENCH)

clean:
	rm -rf $(VENV)
