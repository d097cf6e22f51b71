# `make run` and `make test` set up all they need in .venv; PYTHON names another interpreter (3.10 or newer).
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
AS_ROOT := $(shell [ "$$(id -u)" = 0 ] && echo --allow-root)

.PHONY: run lab test outputs results bench repository clean

run: $(READY)  ## execute the course into build/
	$(BIN)/python -m tools.execute_notebooks run

lab: $(READY)  ## open the course in JupyterLab
	$(BIN)/python -m jupyterlab notebooks/01_data_exploration.ipynb --ServerApp.root_dir=. $(AS_ROOT)

test: $(READY)  ## lint, unit tests, every notebook in fast mode
	$(BIN)/python -m ruff check .
	$(BIN)/python -m pytest
	$(BIN)/python -m tools.check_notebooks

outputs: $(READY)  ## execute the notebooks in place, stamp them, renew images/ and the checkpoint
	$(BIN)/python -m tools.execute_notebooks outputs $(ONLY)

results: $(READY)  ## train what has no record in data/results/ yet, and renew the README's table
	$(BIN)/python -m helpers reproduce; status=$$?; $(BIN)/python -m helpers table && exit $$status

bench: $(READY)  ## how long recipes take, side by side; QUICK=1 takes less than three minutes
	$(BIN)/python -m helpers bench $(if $(QUICK),--quick)

repository: $(READY)  ## point badges and bootstrap at another repository: make repository REPO=owner/name
	$(BIN)/python -m tools.set_repository $(REPO)

clean:
	rm -rf build .venv .pytest_cache .ruff_cache *.egg-info

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "The course needs Python 3.10 or newer: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@
