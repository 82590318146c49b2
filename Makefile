# Behemoth's Makefile. It explains itself: `make` prints what there is.
#
# Each target does all its own set-up on a machine with Python 3.11+, a Rust toolchain and make, in
# .venv and target/, and again only what has changed since. The stamps in .venv remember that.

PYTHON ?= python3
FACTS  ?= 1e8
OUT    ?= corpus
FAULTS ?= 20
FUZZ   ?= 60
NEWEST ?= python3.14

# Tests run on two cores, a file on one of them; `make test-python PYTEST="-n 0"` runs them in one
# process, for debuggers.
PARALLEL := -n 2 --dist loadfile

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS   += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV := .venv
BIN  := $(VENV)/bin
NEWEST_VENV := target/newest
OLDEST_VENV := target/oldest
# uv is much faster than pip: the user's own if it works, else one that pip puts into .venv.
UV := $(shell uv --version >/dev/null 2>&1 && echo uv || echo $(BIN)/uv)
PIP_INSTALL := $(UV) pip install --quiet --python $(BIN)/python
# Another environment that happens to be active must not be the one that is built for.
unexport CONDA_PREFIX PYTHONHOME PYTHONPATH
# Tests start hundreds of processes, which without bytecode compile all of torch anew.
unexport PYTHONDONTWRITEBYTECODE
export VIRTUAL_ENV := $(CURDIR)/$(VENV)
# One interpreter for maturin and for cargo: otherwise each rebuilds what the other has built.
export PYO3_PYTHON := $(CURDIR)/$(BIN)/python
export CARGO_TERM_COLOR ?= auto

RUST_SOURCES := $(shell find crates -name target -prune -o \( -name '*.rs' -o -name Cargo.toml -o -path '*/grammars/*.toml' \) -print) \
	Cargo.toml $(wildcard Cargo.lock) $(wildcard .cargo/config.toml)
EXTENSION := $(VENV)/.stamp-extension
# The stamp says nothing when someone has removed the compiled module itself.
ifeq ($(wildcard python/behemoth/_gen.*so python/behemoth/_gen.*pyd),)
.PHONY: $(EXTENSION)
endif

##@ Use it

.PHONY: help
help: ## print this list
	@awk 'BEGIN { FS = ":.*## "; print "usage: make TARGET [PYTHON=python3] [FACTS=1e8] [OUT=corpus]" } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z0-9-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' Makefile

.PHONY: run
run: $(EXTENSION) ## set up what is needed, then write a corpus of FACTS facts to OUT and show it
	@$(BIN)/behemoth gen --facts $(FACTS) --out $(OUT)
	@$(BIN)/behemoth inspect $(OUT)

.PHONY: install
install: $(EXTENSION) ## only the set-up of `make run`: .venv with the light dependencies, the engine

.PHONY: dev
dev: $(VENV)/.stamp-dev $(EXTENSION) ## everything a contributor may need, torch and ray too (large)

##@ Check it

.PHONY: test
test: ## the Rust tests and the Python tests
	@# The environment and the engine are made while the Rust tests are: linking takes one core.
	@$(MAKE) --no-print-directory -j 2 test-rust test-ready
	@$(MAKE) --no-print-directory test-python

.PHONY: test-ready
test-ready: $(VENV)/.stamp-test $(EXTENSION)

.PHONY: test-rust
test-rust: $(VENV)/.stamp-venv ## the Rust tests: with cargo nextest where it is installed, else with cargo test
	@if cargo nextest --version >/dev/null 2>&1; then \
		cargo nextest run --workspace --no-fail-fast && cargo test --workspace --doc; \
	else \
		cargo test --workspace --no-fail-fast; \
	fi

# Rust's standard library needs bcryptprimitives.dll, which the Wine 8.0 of Debian 12 does not have.
.PHONY: test-windows
test-windows: ## the Rust tests as Windows programs, under Wine (needs gcc-mingw-w64-x86-64 and wine)
	@rustup target add x86_64-pc-windows-gnu
	@CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER=wine cargo test --workspace --target x86_64-pc-windows-gnu

.PHONY: test-python
test-python: $(VENV)/.stamp-test $(EXTENSION) ## the Python tests (PYTEST="-k words" adds options)
	@$(BIN)/python -m pytest $(PARALLEL) $(PYTEST)

# Where rounding decides: what edits, trains, asks and measures.
NUMERICAL := tests/model tests/train tests/recall tests/delta tests/edit tests/evaluate
# Files there with whole numbers, refusals and waits alone: no kernel changes what they look at.
WHOLE := $(addprefix --ignore tests/, model/test_sizes.py train/test_agreement.py train/test_config.py \
	train/test_data.py train/test_device.py train/test_schedule.py train/test_spans.py edit/test_cost.py \
	edit/test_registry.py edit/test_third_party.py) \
	$(addprefix --deselect tests/train/test_processes.py::test_, a_signal checkpoints others_wait a_process \
	a_damaged a_batch)

.PHONY: test-avx2
test-avx2: $(VENV)/.stamp-test $(EXTENSION) ## the numerical tests, with the kernels of an older processor
	@ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 $(BIN)/python -m pytest $(PARALLEL) $(NUMERICAL) $(WHOLE) $(PYTEST)

# The newest numpy and polars need a newer Python than the oldest that we allow.
.PHONY: test-newest
test-newest: $(EXTENSION) ## the numerical tests with another, newer Python and the newest packages (NEWEST=python3.14)
	@rm -rf $(NEWEST_VENV)/wheels
	@$(BIN)/maturin build --release --quiet --out $(NEWEST_VENV)/wheels
	@$(UV) venv --quiet --allow-existing --python "$$($(NEWEST) -c 'import sys; print(sys.executable)')" $(NEWEST_VENV)
	@$(UV) pip install --quiet --upgrade --python $(NEWEST_VENV)/bin/python -r pyproject.toml --extra test
	@$(UV) pip install --quiet --reinstall --no-deps --python $(NEWEST_VENV)/bin/python $(NEWEST_VENV)/wheels/*.whl
	@VIRTUAL_ENV=$(CURDIR)/$(NEWEST_VENV) $(NEWEST_VENV)/bin/python -m pytest $(PARALLEL) $(NUMERICAL) $(WHOLE) $(PYTEST)

# Old packages say of newer ones that they use what is going to go: warnings are no errors here. And
# old kernels do not compute the same bits in each place.
.PHONY: test-oldest
test-oldest: $(EXTENSION) ## the numerical tests with the oldest packages that are allowed (large)
	@rm -rf $(OLDEST_VENV)/wheels
	@$(BIN)/maturin build --release --quiet --out $(OLDEST_VENV)/wheels
	@$(UV) venv --quiet --allow-existing --python $(BIN)/python $(OLDEST_VENV)
	@$(UV) pip install --quiet --upgrade --resolution lowest-direct --python $(OLDEST_VENV)/bin/python -r pyproject.toml --extra test
	@$(UV) pip install --quiet --reinstall --no-deps --python $(OLDEST_VENV)/bin/python $(OLDEST_VENV)/wheels/*.whl
	@VIRTUAL_ENV=$(CURDIR)/$(OLDEST_VENV) $(OLDEST_VENV)/bin/python -m pytest $(PARALLEL) -o filterwarnings=default $(NUMERICAL) \
		-m "not exact and not slow and not gpu and not faults and not foreign" $(PYTEST)

.PHONY: test-perturbed
test-perturbed: $(VENV)/.stamp-test $(EXTENSION) ## the numerical tests, the last bit of every result moved
	@$(BIN)/python -m pytest $(NUMERICAL) --perturb 1 $(PYTEST)

.PHONY: test-slow
test-slow: $(VENV)/.stamp-test $(EXTENSION) ## the tests marked slow, and no others
	@$(BIN)/python -m pytest -m "slow and not gpu and not faults and not foreign" $(PYTEST)

.PHONY: test-all
test-all: test-rust $(VENV)/.stamp-test $(EXTENSION) ## the slow tests and the fault tests as well
	@$(BIN)/python -m pytest -m "not gpu and not foreign" $(PYTEST)

.PHONY: test-foreign
test-foreign: $(VENV)/.stamp-foreign $(EXTENSION) ## what others' programs make of our exports (installs lm_eval, litdata, datatrove, megatron-core, gcsfs)
	@$(BIN)/python -m pytest -m foreign tests/foreign $(PYTEST)

.PHONY: faults
faults: $(VENV)/.stamp-test $(EXTENSION) ## flipped bits, hostile files, full disks and kills, FAULTS times as often
	@FAULTS=$(FAULTS) $(BIN)/python -m pytest -m "not gpu" --timeout 3600 \
		tests/faults tests/cli/test_resume.py $(PYTEST)
	@FAULTS=$(FAULTS) $(BIN)/python -m pytest -m "faults and not gpu" --timeout 3600 \
		--ignore tests/faults --ignore tests/cli/test_resume.py $(PYTEST) || [ $$? -eq 5 ]

# cargo-fuzz needs nightly Rust. What it finds new stays in fuzz/found, and what fails in
# fuzz/artifacts; the inputs in fuzz/corpus, which `make test-rust` mutates, are only read.
.PHONY: fuzz
fuzz: ## every parser of the engine, FUZZ seconds each (cargo-fuzz, nightly Rust)
	@cargo +nightly fuzz --version >/dev/null || { \
		echo "make: no cargo-fuzz: rustup toolchain install nightly && cargo install cargo-fuzz" >&2; exit 2; }
	@cd crates/behemoth-gen && for target in $$(ls fuzz/corpus); do \
		mkdir -p fuzz/found/$$target; \
		cargo +nightly fuzz run $$target fuzz/found/$$target fuzz/corpus/$$target -- \
			-max_total_time=$(FUZZ) -timeout=20 -rss_limit_mb=2048 -malloc_limit_mb=512; \
	done

.PHONY: lint
lint: lint-rust lint-python lint-forms ## every linter, type checker and format check; changes nothing

.PHONY: lint-rust
lint-rust: $(VENV)/.stamp-venv rust-components
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --all-features --quiet -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet

.PHONY: lint-python
# The types of torch and transformers are part of what is checked: with the tests' packages.
lint-python: $(VENV)/.stamp-test $(VENV)/.stamp-lint $(EXTENSION)
	$(BIN)/ruff check --quiet
	$(BIN)/ruff format --check --quiet
	$(BIN)/pyright
	$(BIN)/stubtest --concise --mypy-config-file pyproject.toml behemoth._gen

.PHONY: lint-forms
lint-forms: $(VENV)/.stamp-lint ## the workflows and CITATION.cff, each by its published schema
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.citation-file-format CITATION.cff

.PHONY: fmt
fmt: $(VENV)/.stamp-lint rust-components ## format the Rust and the Python code, and mend what ruff can mend
	cargo fmt --all
	$(BIN)/ruff check --fix --exit-zero
	$(BIN)/ruff format

# Not --quiet: with it mkdocs does not count the warnings that --strict is about.
.PHONY: docs
docs: $(VENV)/.stamp-docs ## the documentation and the API reference, to site/; a broken link fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

.PHONY: bench
bench: $(VENV)/.stamp-test $(EXTENSION) ## the Rust benches, then the end-to-end benches (3 GB of disk, minutes)
	$(BIN)/python benches/engine.py
	$(BIN)/python benches/generate.py
	$(BIN)/python benches/text.py
	$(BIN)/python benches/export.py
	$(BIN)/python benches/scaling.py

##@ Tidy up

.PHONY: clean
clean: ## remove .venv, target/, the compiled module and all caches; corpora stay
	rm -rf $(VENV) target site .pytest_cache .ruff_cache .mypy_cache .hypothesis
	rm -f python/behemoth/_gen.*so python/behemoth/_gen.*pyd
	find python tests benches -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# How the environment is made.

$(VENV)/.stamp-venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "make: '$(PYTHON)' is not Python 3.11 or newer; name one that is: make PYTHON=python3.12" >&2; exit 2; }
	@command -v cargo >/dev/null || { echo "make: no cargo on the PATH; a Rust toolchain is needed" >&2; exit 2; }
	@echo "make: creating $(VENV)"
	@if [ "$(UV)" = uv ]; then \
		uv venv --quiet --clear --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(VENV); \
	else \
		rm -rf $(VENV) && $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --quiet uv; \
	fi
	@touch $@

# `uv pip install -r pyproject.toml` installs what the project lists, not the project.
$(VENV)/.stamp-run: pyproject.toml $(VENV)/.stamp-venv
	@$(PIP_INSTALL) -r pyproject.toml 'maturin>=1.9,<2'
	@touch $@

$(addprefix $(VENV)/.stamp-,test foreign lint docs dev): $(VENV)/.stamp-%: pyproject.toml $(VENV)/.stamp-run
	@echo "make: installing the packages of '$*'"
	@$(PIP_INSTALL) -r pyproject.toml --extra $*
	@touch $@

# Puts the compiled module beside its Python package and the package on the path of .venv.
$(EXTENSION): $(RUST_SOURCES) pyproject.toml $(VENV)/.stamp-run
	@echo "make: building the engine"
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/maturin develop --release --uv
	@touch $@

.PHONY: rust-components
rust-components:
	@cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
	@cargo clippy --version >/dev/null 2>&1 || rustup component add clippy
