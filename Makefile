# Everything a newcomer needs: `make run` starts the studio, `make test` checks it.
#
#   make run                 PyTorch's default build (on Linux: a CUDA build of several GB)
#   make run TORCH=cpu       PyTorch for the CPU, a small download
#   make run TORCH=cu126     PyTorch for CUDA 12.6, the last with kernels for Pascal cards
#   make run PYTHON=python3.12

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
TORCH ?=
TORCH_PIN := $(shell sed -n 's/^\(torch==[0-9.]*\).*/\1/p' requirements.txt)
# The torch that was asked for; without one, the torch that is there stays.
TORCH_STAMP := $(if $(TORCH),$(VENV)/.torch-$(TORCH))
# Which tests `make test` runs; MARKERS="not gpu and not weights" runs the slow ones as well.
MARKERS ?= not slow and not gpu and not weights
CHROMIUM := $(shell for name in chromium chromium-browser google-chrome google-chrome-stable; do \
	command -v $$name && break; done)

ifneq ($(filter-out cpu cu126,$(TORCH)),)
$(error TORCH must be cpu or cu126, got $(TORCH))
endif

.PHONY: setup setup-dev run test lint format
.DELETE_ON_ERROR:

setup: $(VENV)/.installed

setup-dev: $(VENV)/.installed-dev

run: setup
	@echo "The studio comes up at http://127.0.0.1:$${DYOD_PORT:-7860} in a moment; Ctrl+C stops it."
	@$(BIN)/python app.py

test: setup-dev
ifeq ($(CHROMIUM),)
	@echo "**************************************************************************" >&2
	@echo "** No Chromium found: THE BROWSER TESTS ARE LEFT OUT, the rest runs.    **" >&2
	@echo "** Install chromium or google-chrome and run 'make test' again.         **" >&2
	@echo "**************************************************************************" >&2
endif
	@HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder -m "$(MARKERS)$(if $(CHROMIUM),, and not browser)"

lint: setup-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: setup-dev
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

# A name on the PATH may be a shim that does not run, or a Python without venv: each is tried.
$(VENV)/.created:
	@for name in $(PYTHON) $(if $(PYTHON),,python3 python3.13 python3.12 python3.11 python); do \
		if "$$name" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
			>/dev/null 2>&1; then found="$$name"; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo "DYOD Studio needs Python 3.11, 3.12 or 3.13 with its venv module" \
			"(on Debian and Ubuntu: apt install python3-venv); none was found$(if $(PYTHON), as $(PYTHON))." >&2; \
		exit 1; \
	fi; \
	echo "Making a virtual environment in $(VENV) with $$("$$found" --version)."; \
	"$$found" -m venv --clear $(VENV)
	@touch $@

$(VENV)/.torch-$(TORCH): $(VENV)/.created
	@rm -f $(VENV)/.torch-* $(VENV)/.installed
	@$(PIP) uninstall --yes --quiet torch
	@$(PIP) install --index-url https://download.pytorch.org/whl/$(TORCH) $(TORCH_PIN)
	@touch $@

$(VENV)/.installed: requirements.txt $(VENV)/.created $(TORCH_STAMP)
	@echo "Installing what the studio needs; this takes some minutes."
	@$(PIP) install -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt requirements.txt $(VENV)/.installed
	@$(PIP) install --quiet -r requirements-dev.txt
	@touch $@
