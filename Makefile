# Everything runs in .venv, which is made on first use and brought up to date when a requirement changes.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
TORCH := $(shell grep '^torch==' constraints.txt)
# Bytecode is kept, whatever the shell says: each process that a test starts would compile the sources again.
OFFLINE := HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false PYTHONDONTWRITEBYTECODE=

.PHONY: demo test slow style check docs format bench clean
.DELETE_ON_ERROR:

demo: $(INSTALLED)
	$(BIN)/polymodal demo

# One thread a worker: two workers with two threads each would wait for each other on two cores.
test: $(INSTALLED)
	$(OFFLINE) OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2

# What takes longer: whole processes, killed and resumed fits, damaged files in large numbers. An hour or more.
slow: $(INSTALLED)
	$(OFFLINE) OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 -m slow

style: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check: style
	@$(MAKE) --no-print-directory test

docs: $(INSTALLED)
	@$(OFFLINE) NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "The site is in site/: open site/index.html."

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Minutes: those of the figures in benchmarks/RESULTS.md, on two cores.
bench: $(INSTALLED)
	@echo "startup.py: about 2 minutes. training.py: about 12 minutes, 2 GB of memory; it reads av_digits/ in POLYMODAL_DATA."
	@echo "Two cores, otherwise idle: whatever else runs changes the figures. Ctrl-C stops."
	$(OFFLINE) $(BIN)/python benchmarks/startup.py
	$(OFFLINE) $(BIN)/python benchmarks/training.py

clean:
	rm -rf .venv build dist site src/*.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# torch goes first: once its build (CPU or CUDA) is chosen, nothing that follows brings another one.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, $(PYTHON) is %d.%d. Try: make PYTHON=python3.11" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	@echo "Installing into .venv (a few minutes the first time)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt $(TORCH)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e ".[dev,docs]"
	@touch $@
