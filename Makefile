# make up            run the whole twin here: http://127.0.0.1:8050
# make up PORT=8123 DATA=folder
# make test          every check and every test
# make bench         the measurements
# make bench BENCH="replay replay_loop"   those of them
# make gallery       the twelve scenarios as pictures: build/gallery/index.html

# A test starts some hundred processes: each would compile the project anew
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
PIP     = $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: up test computed simulated system chaos lint bench gallery vendor clean

up: $(VENV)/.run
	@exec env $(if $(PORT),GAOXIN_WEB__PORT='$(PORT)') $(if $(DATA),GAOXIN_DATA='$(DATA)') $(BIN)/gaoxin up

$(VENV)/.run: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "gaoxin-twin needs Python 3.11 or newer, this is " + sys.version.split()[0] + ". Name another: make up PYTHON=python3.12")'
	@echo "installing (the first time takes a minute or two)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install -c constraints.txt -e .
	@touch $@

$(VENV)/.test: $(VENV)/.run tests/packages.sh
	$(PIP) install -c constraints.txt -e '.[test]'
	sh tests/packages.sh
	@touch $@

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Whole processes, which mostly wait, run beside what is computed and simulated; the pages alone, as a map in software
# takes both cores
test: lint
	node --test tests/js/*.test.mjs
	@$(MAKE) --no-print-directory --jobs=4 --output-sync=target system simulated computed chaos
	$(BIN)/pytest tests/browser $(PYTEST)

computed: $(VENV)/.test
	$(BIN)/pytest $(foreach part,browser system chaos simulators scenarios,--ignore=tests/$(part)) $(PYTEST)

simulated: $(VENV)/.test
	$(BIN)/pytest tests/simulators tests/scenarios $(PYTEST)

system chaos: $(VENV)/.test
	$(BIN)/pytest tests/$@ $(PYTEST)

bench: $(VENV)/.test
	$(BIN)/python -m tests.bench $(BENCH)

gallery: $(VENV)/.test
	$(BIN)/python -m tests.gallery

# Bundles MapLibre, ECharts and the rest again (needs Node); the results are committed
vendor:
	cd dashboards/assets/vendor && npm ci && npm run build

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
