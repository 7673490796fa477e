# The two commands: `make up` and `make test`. The rest is for developers; see CONTRIBUTING.md.

VENV := .venv
BIN := $(VENV)/bin
SHARED := -n auto --dist loadfile
REQUIREMENTS := requirements/run.txt requirements/dev.txt pyproject.toml

.PHONY: up test check quick bench messages lock clean help
.DEFAULT_GOAL := help

help:  ## Show this list.
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

up: $(VENV)/.run  ## Install into .venv, prepare keys, database and the first admin, and start the SSH console and the API.
	@exec $(BIN)/openlxd up

test: $(VENV)/.dev  ## Run the whole suite; as root on Debian or Ubuntu, install what its live tiers need first.
	@scripts/prepare-tests.sh
	@$(BIN)/python -m pytest $(SHARED) $(ARGS)

quick: $(VENV)/.dev  ## The tests that need no LXD, no browser and no root.
	@$(BIN)/python -m pytest -m "not live and not slow" --ignore=tests/browser $(SHARED) $(ARGS)

check: $(VENV)/.dev  ## Format, lint, types, import contracts, house rules, units, quick tests: before every commit.
	@scripts/check.sh

bench: $(VENV)/.dev  ## Measure sessions, requests and searches.
	@$(BIN)/python -m tests.bench $(ARGS)

messages: $(VENV)/.dev  ## Update and compile the message catalogues.
	@$(BIN)/python scripts/messages.py

lock:  ## Update the pinned packages (needs uv).
	@scripts/lock.sh

clean:  ## Remove build files and caches; keys and data stay.
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.run: requirements/run.txt pyproject.toml
	@scripts/venv.sh $(VENV) requirements/run.txt
	@touch $@

$(VENV)/.dev: $(REQUIREMENTS)
	@scripts/venv.sh $(VENV) requirements/dev.txt
	@touch $(VENV)/.run $@
