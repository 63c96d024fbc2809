# Everything runs in .venv, which the first target creates; nothing needs to be activated.
#   make quickstart     the eleven rows of Table 1 on digits, and their table
#   make test           the tests

PYTHON ?= python3
KILLS ?= 100
ROUNDS ?= 50
BIN := .venv/bin
READY := .venv/.ready

.PHONY: help setup quickstart test long-test slurm-test docs drill mutants simulate crowd bench gpu scale lint types clean

help:
	@echo 'make setup        create .venv with everything that is needed'
	@echo 'make quickstart   the eleven rows of Table 1, small, on digits: minutes on a laptop'
	@echo 'make test         the tests: a quarter of an hour on two cores'
	@echo 'make docs         the documentation as a site, in build/docs'
	@echo 'make lint types   ruff, import-linter; mypy'
	@echo 'make long-test    the tests that take minutes'
	@echo 'make slurm-test   grids on a real SLURM of two nodes on this machine: minutes'
	@echo 'make drill        kill a run 100 times, and start one run 50 times at once: minutes'
	@echo 'make mutants      whether the tests fail on 300 small faults in the code: an hour'
	@echo 'make simulate     10,000 simulated studies: coverage of intervals, false alarms of tests'
	@echo 'make gpu          every question that needs a GPU, in nine minutes: tests, speed, packing (docs/speed.md)'
	@echo 'make bench scale  speed and overhead; how status and report scale with the number of runs'

setup: $(READY)

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'ablate needs Python 3.11 or newer; this is' "$$($(PYTHON) --version)": choose another with make PYTHON=python3.12 $(MAKECMDGOALS); exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || \
	  { rm -rf .venv; echo 'a virtual environment could not be created: on Debian and Ubuntu, apt install python3-venv'; exit 1; }
	@# uv, because pip may take a CPU build of torch that is on the machine, which torchvision from the registry does not fit.
	$(BIN)/python -m pip install -q uv
	$(BIN)/uv pip install -q --compile-bytecode --python $(BIN)/python -e '.[dev]'
	@$(BIN)/python -c 'import torch, torchvision; print("torch", torch.__version__, "torchvision", torchvision.__version__)' || \
	  { echo 'torch and torchvision do not fit each other: remove .venv, then install one pair that does, as in'; \
	    echo '  make setup UV_TORCH_BACKEND=cpu     (or cu128, ...; see the README)'; exit 1; }
	@touch $@

quickstart: $(READY)
	$(BIN)/ablate -m +experiment=quickstart
	$(BIN)/ablate report --experiment quickstart --out results/report

test: $(READY)
	$(BIN)/pytest -n auto --durations=15

long-test: $(READY)
	$(BIN)/pytest -m long -n auto

# Grids on a real SLURM of two nodes, which it starts and stops.
slurm-test: $(READY)
	$(BIN)/pytest tests/grid/slurm -m slurm -n 3 --durations=5

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict --site-dir build/docs
	@echo 'open build/docs/index.html'

# A hundred kills of one run and fifty races for one.
drill: $(READY)
	@rm -rf build/drill
	$(BIN)/python tests/drill.py kill build/drill/kill --kills $(KILLS)
	$(BIN)/python tests/drill.py race build/drill/race --rounds $(ROUNDS)

# Whether the tests fail when the code is wrong; resumes where it stopped. Not in CI.
mutants: $(READY)
	nice -n 10 $(BIN)/python -m tests.mutants

# Whether the report's intervals and tests have their stated coverage; exits with 1 if one does not.
simulate: $(READY)
	$(BIN)/python -m tests.simulation --out results/statistics.md

# Speed and overhead, into results/bench; half an hour, with nothing else on the machine.
bench: $(READY)
	for what in speed grid tracker records threads memory probes; do $(BIN)/ablate bench $$what --out results/bench || exit 1; done

# All that needs a GPU, into results/bench/gpu-NAME; GPU='--data cifar10' adds a small Table 1, GPU=--rehearse uses the CPU.
gpu: $(READY)
	$(BIN)/ablate bench gpu $(GPU)

# What ten thousand runs on a thousand nodes do to a file system and to SLURM.
crowd: $(READY)
	@rm -rf build/crowd
	PYTHONPATH=. $(BIN)/python tests/crowd.py build/crowd --out results/scale.md
	@rm -rf build/crowd

# How status and report scale with the number of records.
scale: $(READY)
	@rm -rf build/scale
	$(BIN)/python tests/scale.py build/scale 10000 100000
	@rm -rf build/scale

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(READY)
	$(BIN)/mypy

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
