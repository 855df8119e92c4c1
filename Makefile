# make demo   run two chains on built-in digits; writes demo/report.html and demo/aeot/report.html
# make test   run the tests
# make test-cuda   run the tests on an emulated CUDA device (placement, waits, TF32, two devices); needs gcc and the CUDA build of torch
# make bench-guard   compare operators and allocations per step with tests/bench/budgets.json; UPDATE=1 records them again
# make pretrained   train the model that comes with genrev, on MNIST in data/raw/mnist; an hour on two cores
# make obtained   train the methods of the papers for equal times and write docs/obtained.md; a quarter of an hour of one core for each;
#                 SIZE=small takes networks for a CPU, and writes docs/obtained-small.md
# make torture   kill every stage twenty times and compare with an uninterrupted run; an hour on two cores
# make soak   run every training stage for 5,000 steps and measure its memory; about half an hour on two cores
PYTHON ?= python3
BIN    := .venv/bin
READY  := .venv/.ready
READY_CUDA := .venv/.ready-cuda
AEOT   := OUT=demo/aeot SOURCE=mnist-small DATA=demo/mnist-small.h5 FEATURES=pixel N=1250 DEVICE=cpu \
	PRETRAIN="--size-of-model small --steps 3000" GAN="--steps 600"

JOBS     ?= 1

.PHONY: demo test test-cuda bench-guard pretrained obtained torture soak lint docs docs-check clean
.DELETE_ON_ERROR:

demo: $(READY)
	@$(BIN)/genrev demo demo
	@$(MAKE) --no-print-directory -f pipelines/aeot.mk GENREV=$(BIN)/genrev $(AEOT)
	@echo "open demo/report.html and demo/aeot/report.html"

test: $(READY)
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

test-cuda: $(READY_CUDA)
	$(BIN)/python tests/cuda/run.py

bench-guard: $(READY)
	@$(if $(UPDATE),rm -f tests/bench/budgets.json)
	UPDATE_BUDGETS=$(UPDATE) $(BIN)/python -m pytest tests/bench/test_budgets.py

pretrained: $(READY)
	@$(MAKE) --no-print-directory -f pipelines/pretrained.mk GENREV=$(BIN)/genrev

obtained: $(READY)
	@$(MAKE) --no-print-directory -j $(JOBS) -f pipelines/obtained.mk GENREV=$(BIN)/genrev PYTHON=$(BIN)/python

torture: $(READY)
	$(BIN)/python tests/faults/torture.py --kills 20 --forked --steps 20
	$(BIN)/python tests/faults/torture.py --kills 20 prepare-data pretrain-recon train-gan fit-ot sample

soak: $(READY)
	$(BIN)/python tests/faults/soak.py --steps 5000

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(READY)
	$(BIN)/python -m genrev_cli.cli.reference > docs/cli.md

docs-check: $(READY)
	@$(BIN)/python -m genrev_cli.cli.reference | diff -u docs/cli.md - || { echo "docs/cli.md is out of date: run 'make docs'" >&2; exit 1; }

clean:
	rm -rf demo .venv

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "genrev needs Python 3.11 or later; try 'make PYTHON=python3.12'" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

$(READY_CUDA): $(READY)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev,cuda-tests]'
	@touch $@
