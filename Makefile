# Everything runs in .venv, which the first target makes; nothing needs to be activated.
#   make quickstart     the eleven rows of Table 1 on digits, and their table
#   make test           the tests

PYTHON ?= python3
KILLS ?= 100
ROUNDS ?= 50
BIN := .venv/bin
READY := .venv/.ready

.PHONY: help setup quickstart test slurm-test drill simulate crowd bench scale lint types clean

help:
	@echo 'make setup        make .venv with all that is needed'
	@echo 'make quickstart   the eleven rows of Table 1, small, on digits: minutes on a laptop'
	@echo 'make test         the tests'
	@echo 'make lint types   ruff, mypy'
	@echo 'make slurm-test   grids on a real SLURM of two nodes on this machine: minutes'
	@echo 'make drill        kill a run 100 times and race for one 50 times: minutes'
	@echo 'make bench scale  how fast it is and what it costs; how status and report grow'
	@echo 'make simulate     10,000 drawn studies: whether intervals and tests keep their promises'

setup: $(READY)

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'ablate needs Python 3.11 or newer; this is' "$$($(PYTHON) --version)": name another with make PYTHON=python3.12 $(MAKECMDGOALS); exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || \
	  { rm -rf .venv; echo 'no virtual environment could be made: on Debian and Ubuntu, apt install python3-venv'; exit 1; }
	@# uv, because pip may take a CPU build of torch lying on the machine, which torchvision from the registry does not fit.
	$(BIN)/python -m pip install -q uv
	$(BIN)/uv pip install -q --compile-bytecode --python $(BIN)/python -e '.[dev]'
	@$(BIN)/python -c 'import torch, torchvision; print("torch", torch.__version__, "torchvision", torchvision.__version__)' || \
	  { echo 'torch and torchvision do not fit each other: remove .venv, then give one pair that does, as in'; \
	    echo '  make setup UV_TORCH_BACKEND=cpu     (or cu128, ...; see the README)'; exit 1; }
	@touch $@

quickstart: $(READY)
	$(BIN)/ablate -m +experiment=quickstart
	$(BIN)/ablate report --experiment quickstart --out results/report

test: $(READY)
	$(BIN)/python -m pytest -n auto

# Grids on a real SLURM of two nodes, which it starts and stops; minutes.
slurm-test: $(READY)
	$(BIN)/python -m pytest tests/cluster -m slurm -n 3 --durations=5

# A hundred deaths of one run and fifty races for one, for real; seconds each.
drill: $(READY)
	@rm -rf build/drill
	$(BIN)/python tests/drill.py kill build/drill/kill --kills $(KILLS)
	$(BIN)/python tests/drill.py race build/drill/race --rounds $(ROUNDS)

# Whether the report's intervals and tests keep their promises; ends with 1 where one is broken.
simulate: $(READY)
	$(BIN)/python tests/simulation.py --out results/statistics.md

# How fast the harness is and what it costs, into results/bench; half an hour, with nothing else on the machine.
bench: $(READY)
	for what in speed grid tracker records; do $(BIN)/ablate bench $$what --out results/bench || exit 1; done

# What ten thousand runs on a thousand nodes do to a file system and to SLURM.
crowd: $(READY)
	@rm -rf build/crowd
	PYTHONPATH=. $(BIN)/python tests/crowd.py build/crowd --out results/scale.md
	@rm -rf build/crowd

# How status and report grow with the number of records.
scale: $(READY)
	@rm -rf build/scale
	$(BIN)/python tests/scale.py build/scale 10000 100000
	@rm -rf build/scale

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache
