# DeltaStream's commands. `make` alone lists them.
# Set-up is a side effect of every command that needs it: a virtual environment in .venv, the
# locked dependencies, and the Rust core built in place. Each is redone only when what it is made
# from has changed.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help setup run test test-python test-rust test-slow soak sim lint lint-python lint-rust format bench \
	screenshots tables lock wheel clean

# The first Python that is new enough. PYTHON=… chooses another one for a new .venv.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)
BIN := .venv/bin
CORE := Cargo.toml Cargo.lock core_ext/Cargo.toml $(shell find core_ext -name '*.rs')

# The extension's symbols come from the interpreter that loads it: neither the build nor the Rust
# tests link libpython, which Debian ships only with the development packages.
export PYO3_BUILD_EXTENSION_MODULE := 1
export PYO3_PYTHON := $(CURDIR)/$(BIN)/python
export PIP_DISABLE_PIP_VERSION_CHECK := 1

help: ## list the commands
	@echo 'DeltaStream: make <command>'
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | awk -F '\t' '{ printf "  %-11s %s\n", $$1, $$2 }'

setup: $(BIN)/.built ## make .venv, install the locked dependencies, build the Rust core
	@echo 'Ready: $(BIN)/deltastream'

run: setup ## set up, then run DeltaStream on embedded defaults; ARGS='…' passes flags
	@$(BIN)/deltastream run $(ARGS)

test: test-python test-rust ## set up, then the quick tests, Python and Rust: up to 6 minutes

test-python: setup
	$(BIN)/pytest

test-rust: setup
	cargo test --workspace --locked

test-slow: setup ## kills, the installed wheel, the page, thousands of cases: up to 20 minutes
	$(BIN)/pytest -m slow -o faulthandler_timeout=300

soak: setup ## what needs longer than a coffee
	$(BIN)/pytest -m soak -o faulthandler_timeout=3600

FOR ?= 10m
sim: setup ## simulate fresh seeds with every fault; FOR=1h takes so long, ARGS='…' passes flags
	@$(BIN)/deltastream sim --for $(FOR) $(ARGS)

lint: lint-python lint-rust ## formatting, style, types and the extension's stub, Python and Rust

lint-python: setup
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest deltastream._core
	bash -n .ci/run
	sh -n .ci/check-tools

lint-rust: setup
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

format: setup ## rewrite Python and Rust sources in the house's format
	$(BIN)/ruff format
	$(BIN)/ruff check --fix
	cargo fmt --all

bench: setup ## measure: each prints its machine, its command and its table
	for bench in benches/[a-z]*.py; do $(BIN)/python $$bench || exit 1; done
	cargo bench --workspace --locked

screenshots: setup ## pictures of the page's views into docs/images: light, dark, on a phone
	$(BIN)/python deploy/screenshots.py

tables: setup ## write the dated market tables anew
	$(BIN)/uv run --python $(BIN)/python deploy/make_tables.py

lock: setup ## resolve the dependencies anew: requirements.lock and its siblings
	$(call compile,pyproject.toml --all-extras --group dev,requirements.lock)
	$(call compile,pyproject.toml --all-extras --constraint requirements.lock,deploy/runtime.lock)
	$(call compile,--group tutorial,benches/tutorial/requirements.lock)
	$(call compile,--group peers,benches/peers/requirements.lock)
	$(call compile,--group peers-sockets,benches/peers/sockets.lock)
	$(call compile,--group peers-2023,benches/peers/2023.lock)

wheel: setup ## build the wheel into dist/
	rm -rf dist
	$(BIN)/maturin build --release --locked --out dist

clean: ## remove what the commands above made
	rm -rf .venv target dist sim-failures benches/.venv-* deltastream/_core*.so .*_cache .hypothesis

# $(call compile,what,file)
compile = $(BIN)/uv pip compile $(1) --upgrade --universal --python-version 3.11 --fork-strategy fewest \
	--generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate \
	--custom-compile-command 'make lock' --quiet --output-file $(2)

$(BIN)/pip:
	@sh .ci/check-tools '$(PYTHON)'
	@echo 'Making .venv with $(PYTHON) …'
	@$(PYTHON) -m venv .venv

$(BIN)/.locked: requirements.lock | $(BIN)/pip
	@echo 'Installing the locked dependencies …'
	@$(BIN)/pip install --quiet --require-hashes --requirement requirements.lock
	@touch $@

$(BIN)/.built: $(BIN)/.locked pyproject.toml $(CORE)
	@sh .ci/check-tools '$(BIN)/python'
	@echo 'Building the Rust core (a minute the first time) …'
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
