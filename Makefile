# `make` alone says what there is. Everything below installs what it needs first.
.DEFAULT_GOAL := help
.PHONY: help install debian llama-server run test check lint types soak bench bench-quick models lock clean

INSTALLED := .venv/.installed
BIN := .venv/bin
DEBIAN_PACKAGES := ocrmypdf tesseract-ocr tesseract-ocr-chi-sim chromium fonts-noto-cjk pandoc espeak-ng

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: ## make .venv, build llama.cpp for this machine (about 4 minutes, once)
	deployments/install.sh
	@touch $(INSTALLED)

debian: ## as root: what OCR, EPUB and the tests of pages need on Debian and Ubuntu
	apt-get update
	DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $(DEBIAN_PACKAGES)

$(INSTALLED): requirements.lock pyproject.toml deployments/install.sh
	@$(MAKE) --no-print-directory install

llama-server: $(INSTALLED) ## llama.cpp's own server, for the tests against it (about a minute, once)
	$(BIN)/python tests/support/llama_server.py

run: $(INSTALLED) ## summarise data/samples/ with the demo model, offline
	$(BIN)/lectern summarize data/samples

# Whole files at a time, for the servers that their tests share; half of the time is waiting.
test: $(INSTALLED) ## all tests, three files at a time
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder

check: lint types test ## what CI runs

lint: $(INSTALLED) ## ruff: lint and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED) ## mypy, strict
	$(BIN)/mypy

soak: $(INSTALLED) ## the long campaigns in full: kills, fuzzing, random properties
	LECTERN_SOAK=1 $(BIN)/pytest -m "soak or hypothesis" --timeout=0

bench: $(INSTALLED) ## measure everything (hours): the pool into docs/benchmarks/, the rest to the terminal
	for bench in pool extract overhead translate speech fit; do $(BIN)/python tests/benchmarks/bench_$$bench.py || exit 1; done

bench-quick: $(INSTALLED) ## measure the pool on one batch
	$(BIN)/python tests/benchmarks/bench_pool.py --quick

models: $(INSTALLED) ## compute data/models/sizes.toml anew from the shapes in models.toml (a minute)
	$(BIN)/python tests/benchmarks/model_sizes.py

lock: $(INSTALLED) ## resolve the dependencies anew into requirements.lock
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
		--upgrade --generate-hashes --no-header -o requirements.lock

clean: ## remove .venv and caches; results and models stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
