# make demo: a coalition lives through a day and a night. make test: the whole check.
# Needs make and Python 3.11 or newer, nothing else; what it installs goes into .venv, from the hashes of requirements.lock.

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
OUT := protos
PROTOS := $(sort $(wildcard protos/tallystick/v1/*.proto))
ARGS :=

# The first that is new enough; `make PYTHON=/path/to/python` chooses another.
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help install demo test bench format stubs errors guide baseline migration lock clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' $(MAKEFILE_LIST) | expand -t 20

install: $(INSTALLED) ## everything into .venv, as often as the lock changes

demo: $(INSTALLED) ## a day and a night of four partners on this machine
	@$(BIN)/tallystick demo $(ARGS)

test: $(INSTALLED) ## the whole suite: lint, types and floors included
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal $(ARGS)

bench: $(INSTALLED) ## the ratios of the design, measured on this machine
	@$(BIN)/python -m bench $(ARGS)

format: $(INSTALLED) ## source and protos in their one form
	$(BIN)/ruff check --fix --quiet || true
	$(BIN)/ruff format
	$(BIN)/buf format --write --path protos/tallystick

stubs: $(INSTALLED) ## the Python stubs beside the protos
	$(BIN)/python -m grpc_tools.protoc --proto_path=protos \
		--plugin=protoc-gen-mypy=$(BIN)/protoc-gen-mypy --plugin=protoc-gen-mypy_grpc=$(BIN)/protoc-gen-mypy_grpc \
		--python_out=$(OUT) --mypy_out=$(OUT) --grpc_python_out=$(OUT) --mypy_grpc_out=$(OUT) $(PROTOS)

errors: $(INSTALLED) ## docs/errors.md, from the tables by which the gateway answers
	$(BIN)/python -m tests.pos.errors_page

guide: $(INSTALLED) ## the messages in docs/pos-guide.md, from a real run
	$(BIN)/python -m tests.pos.guide

baseline: $(INSTALLED) ## what partners may rely on: the protos of a release, against which breaking changes are found
	$(BIN)/buf build --path protos/tallystick --exclude-source-info -o protos/baseline.binpb

migration: $(INSTALLED) ## a draft of the schema's next version: make migration NAME="why"
	$(BIN)/python -m gateway.storage.migrations.draft "$(NAME)"
	$(BIN)/ruff format gateway/storage/migrations/versions

lock: $(INSTALLED) ## newest versions that pyproject.toml allows, by hash, naming no host
	$(PIP) install "uv>=0.13,<1"
	$(BIN)/uv pip compile pyproject.toml --group dev --all-extras --universal --python-version 3.11 --upgrade \
		--generate-hashes --no-emit-index-url --no-header --quiet -o requirements.lock

clean: ## removes what was installed and cached
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis demo-network sandbox

# Made by hand or by an older lock: what is there is brought to the lock's versions.
$(INSTALLED): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Tallystick needs Python 3.11 or newer: install it, or name it with 'make PYTHON=/path/to/python'" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { rm -rf $(VENV) && $(PYTHON) -m venv $(VENV); } \
		|| { echo "$(PYTHON) cannot make virtual environments: install its venv package (Debian: python3-venv)" >&2; exit 1; }
	@echo "Installing into $(VENV): once, a minute or two"
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@
