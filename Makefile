# `make run`, `make lab` and `make test` set up all they need in .venv; PYTHON names another interpreter (3.10 or newer).
# BOUNDS=lowest takes the oldest packages that pyproject.toml allows, in an environment of their own.
ifeq ($(BOUNDS),lowest)
VENV := build/venv-lowest
EXACT := build/lowest.txt
else
VENV := .venv
endif
ifeq ($(OS),Windows_NT)
PYTHON ?= python
BIN := $(VENV)/Scripts
else
PYTHON ?= python3
BIN := $(VENV)/bin
endif
READY := $(VENV)/.ready
# One process for each core; one that is done takes over tests from another.
SIDE_BY_SIDE := --numprocesses logical --dist worksteal

.PHONY: help run lab test outputs results bench site repository clean
.DEFAULT_GOAL := help

help:  ## what there is to make
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(READY)  ## execute the course into build/ (about 35 minutes on 2 CPU cores)
	$(BIN)/python -m tools.execute_notebooks run

lab: $(READY)  ## open the course in JupyterLab, on copies of the notebooks in my/
	$(BIN)/python -m tools.copy_notebooks
	$(BIN)/python -m jupyterlab my/01_data_exploration.ipynb --ServerApp.root_dir=. --allow-root

test: $(READY)  ## lint, unit tests, every notebook in fast mode (about 6 minutes on 2 CPU cores)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m pytest -r s $(SIDE_BY_SIDE)
	$(BIN)/python -m tools.check_notebooks

outputs: $(READY)  ## execute the notebooks in place, stamp them, renew images/ and the checkpoint; ONLY=03 for one
	$(BIN)/python -m tools.execute_notebooks outputs $(ONLY)

results: $(READY)  ## train what has no record in data/results/ yet, and renew the README's table
	$(BIN)/python -m lab reproduce; status=$$?; $(BIN)/python -m lab table && exit $$status

bench: $(READY)  ## how long recipes take, side by side; QUICK=1 takes three minutes
	$(BIN)/python -m lab bench $(if $(QUICK),--quick)

site: $(VENV)/.site  ## build the pages for the web into build/site/html, from the stored outputs
	$(BIN)/python -m tools.build_site

repository: $(READY)  ## point badges and bootstrap at another repository: REPO=owner/name
	$(BIN)/python -m tools.set_repository $(REPO)

clean:  ## remove what was installed and built, but not my/ and data/
	rm -rf build .venv .pytest_cache .ruff_cache *.egg-info

build/lowest.txt: pyproject.toml
	@mkdir -p build
	sed -n 's/^    "\(.*\)>=\(.*\)",$$/\1==\2/p' $< > $@

$(VENV)/.site: $(READY)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --editable ".[site]"
	@touch $@

$(READY): pyproject.toml $(EXACT)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "The course needs Python 3.10 or newer: make PYTHON=python3.12 ...")'
	@echo "Installing the course's packages into $(VENV), once. With PyTorch for CUDA, as Linux gets it, that is 6 GB"
	@echo "(3 GB to download); elsewhere about 1.5 GB. It takes from a minute to half an hour, as fast as your line is."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar on $(EXACT:%=--constraint %) --editable .
	@touch $@
