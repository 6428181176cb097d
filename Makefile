# `make train` and `make test` each work first, from a clean clone, with only Python >= 3.10 and make.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip

.DEFAULT_GOAL := help
.PHONY: help train test test-portable benchmark fuzz sanitize kill-test lint scatter test-scatter clean

help:  ## Show what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

# Two pytest workers share the cores, so a thread that waits must sleep: one that spins takes the time of those that work.
# A process of a test may be the hundredth to import the package, so bytecode is kept, whatever the shell says.
TESTED := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE PYTHONDONTWRITEBYTECODE=
PYTEST := $(TESTED) $(BIN)/python -m pytest

train: $(VENV)/.train  ## Make the environment and train on the embedded molecules
	$(BIN)/plstm-graph fit --config configs/chembl.yaml

test: $(VENV)/.test  ## Make the environment with test extras and run the whole suite
	$(PYTEST) -n auto --dist worksteal

# How torch traces, compiles and registers is decided by no processor; `make test` sees it with native code and without.
test-portable: $(VENV)/.test  ## Test graph, ops, nn and viz again as another processor would: no vectors, no native code, one thread
	ATEN_CPU_CAPABILITY=default PLSTM_COMPILE=0 $(PYTEST) -n auto --dist worksteal tests/graph tests/ops tests/nn tests/viz \
		--ignore=tests/nn/test_options_matter.py --ignore=tests/nn/test_export.py -k "not compile and not registered_soundly"

# What is measured already of today's sources is not measured again. AVX2=1 holds the processor to AVX2.
benchmark: $(VENV)/.test  ## Measure this machine (12 minutes, nothing beside it) and make the pages of speed (LONG=1, AVX2=1, AGAIN=1)
	$(BIN)/python -m benchmarks.everything $(if $(LONG),--long) $(if $(AVX2),--instructions avx2) $(if $(AGAIN),--again)
	$(BIN)/python -m results.performance

fuzz: $(VENV)/.test  ## Draw random calls of the operator and damaged files for ten minutes each (SECONDS=60, SEED=7)
	PLSTM_FUZZ_SECONDS=$(or $(SECONDS),600) PLSTM_FUZZ_SEED=$(or $(SEED),random) \
		$(PYTEST) tests/fuzz -n 2 -k "random_calls or damaged_files"

# Python itself is not sanitised, so the sanitisers' libraries are loaded before it; what it never frees is no leak of ours.
SANITIZE := -O0 -g1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
NATIVE_TESTS := tests/graph/test_ancestry.py tests/graph/test_links.py tests/graph/test_native_plan.py tests/native/test_bounds.py \
	tests/ops/dag/test_parallel_native.py tests/ops/dag/test_recurrent_native.py tests/ops/dag/test_gates_native.py \
	tests/ops/dag/max_plus/test_native.py tests/ops/dag/max_plus/test_factorized.py tests/ops/test_head_norm.py \
	tests/ops/grid2d/test_native.py tests/ops/chain/test_plstm_chain.py \
	tests/ops/dag/test_golden.py tests/ops/dag/test_forms.py tests/ops/grid2d/test_plstm_grid2d.py

sanitize: $(VENV)/.test  ## Test native code under address and undefined-behaviour sanitisers (needs gcc)
	LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
		ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1 \
		CC=gcc PLSTM_CFLAGS="$(SANITIZE)" PLSTM_COMPILE_TIMEOUT=600 OMP_NUM_THREADS=1 \
		$(BIN)/python -m pytest $(NATIVE_TESTS)

kill-test: $(VENV)/.test  ## Kill every long command at 20 random moments and compare results (about an hour on two cores)
	$(BIN)/python -m tests.kill

lint: $(VENV)/.dev  ## Check style and types
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

scatter: $(VENV)/.train  ## Build torch_scatter against the installed torch (about 5 minutes, needs a C++ compiler)
	$(PIP) install --no-build-isolation -c constraints.txt -e '.[scatter]'

test-scatter: scatter $(VENV)/.test  ## Test that the torch_scatter path and the native path agree
	PLSTM_REQUIRE_SCATTER=1 $(BIN)/python -m pytest tests/ops/test_scatter.py

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python >= 3.10 is needed, $(PYTHON) is " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)

# Each stamp is renewed only when what it was made from changes, so a second run reuses the environment.
# With setuptools, which builds torch_scatter.
$(VENV)/.train: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) install -q -c constraints.txt setuptools -e .
	@touch $@

# At once, where nothing is there yet: each call of pip builds the package and settles all versions anew.
$(VENV)/.test $(VENV)/.dev: $(VENV)/.%: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) install -q -c constraints.txt setuptools -e '.[$*]'
	@touch $(VENV)/.train $@

clean:  ## Remove the environment and everything generated
	rm -rf $(VENV) build *.egg-info .pytest_cache .hypothesis .mypy_cache .ruff_cache
