# Two commands: `make study` runs every notebook and prints the claim table, `make test` runs all tests.
# Both set up what they need: .venv, the pinned packages, the sample volumes.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
PROFILE ?= smoke

.PHONY: study test unit notebooks volumes minkowski benchmarks faults report docs links lab clean

study: $(READY) volumes
	$(BIN)/studykit run --profile $(PROFILE) --jobs cores

test: $(READY) volumes unit
	$(BIN)/python -m pytest tests -q -m notebook
	$(BIN)/python -m pytest --nbval notebooks -q -p no:cacheprovider

# The files of tests side by side, each file's one after another.
unit: $(READY) volumes
	OMP_WAIT_POLICY=passive $(BIN)/python -m pytest tests -q -m "not notebook" -n auto --maxprocesses 4 --dist loadfile

volumes: $(READY)
	$(BIN)/studykit data fetch

# The optional third backend of the sparse convolution: compiled once for this torch, kept, installed, tested.
minkowski: $(READY)
	$(BIN)/python scripts/minkowski_wheel.py
	STUDYKIT_REQUIRE_MINKOWSKI=1 $(BIN)/python -m pytest tests/layers -m minkowski -q

# Executes the notebooks in place, as they are committed: with their smoke outputs.
notebooks: $(READY) volumes
	for n in notebooks/*.ipynb; do $(BIN)/studykit run --in-place $$(basename $$n .ipynb) || exit 1; done

# On every kind of hardware at hand, into results/benchmarks; with QUICK=1 a glance that writes nothing.
# Peers that we are held against are no part of the set-up: the solver of one is under the GPL.
benchmarks: $(READY) volumes
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[peers]'
	$(BIN)/python benchmarks/run.py $(if $(QUICK),--quick)

# Kills, full disks, malformed volumes, hostile files: counted into results/faults.md, in ten minutes on two cores.
faults: $(READY)
	$(BIN)/python scripts/faults

report: $(READY)
	$(BIN)/studykit report

# The site, into build/docs; a warning, such as a dead link, fails it.
docs: $(BIN)/sphinx-build
	$(BIN)/python -m sphinx -b html -W --keep-going -q -c docs . build/docs
	@echo build/docs/index.html

# Whether what the site links to in the world still answers; needs the network.
links: $(BIN)/sphinx-build
	$(BIN)/python -m sphinx -b linkcheck -q -c docs . build/links

$(BIN)/sphinx-build: $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[docs]'

# With the viewer of volumes, which nothing else needs.
lab: $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[viewer]'
	$(BIN)/jupyter lab notebooks

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "studykit needs Python 3.11 or newer; try make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt setuptools
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[notebooks,dev,cluster]'
	touch $(READY)

clean:
	rm -rf .venv build docs/api *.egg-info results/runs results/batch results/*/smoke
