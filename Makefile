# Everything runs in .venv of this checkout; `make help` lists what there is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NPM := npm --no-fund --no-audit --loglevel=error

.DEFAULT_GOAL := help
.PHONY: help install model node demo test test-vscode trial pictures check format vsix wheel bench bench-latency bench-infill bench-context bench-quiet bench-instant bench-learning bench-headroom bench-trainer bench-falcon clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

install: $(VENV)/.installed ## create .venv and install the package with its tools

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable . --group dev --group reference
	@touch $@

model: install ## fetch and convert the model into the user's cache
	$(BIN)/falcon-lsp setup

node: node_modules/.package-lock.json

node_modules/.package-lock.json: package.json package-lock.json
	$(NPM) ci

demo: model ## type into real files, accept, reject, recall, train once (10 minutes at most)
	$(BIN)/python scripts/demo.py

test: model node ## everything that must hold: lint, types, tests in Python and TypeScript
	scripts/check

test-vscode: model vsix tests/vscode/node_modules/.installed ## type, accept and reject in a real VS Code (Linux on x86-64)
	$(BIN)/python -m pytest tests/vscode

trial: vsix tests/vscode/node_modules/.installed ## be a new user of the VSIX with nothing prepared (downloads a gigabyte)
	FALCON_TRIAL=1 $(BIN)/python -m pytest tests/vscode/test_trial.py -s

pictures: test-vscode ## take the pictures of README and walkthrough anew
	cp build/pictures/*.png extension/media/

tests/vscode/node_modules/.installed: scripts/install-vscode $(wildcard tests/vscode/*.json tests/vscode/*/*.js)
	scripts/install-vscode

check: install node ## lint and types only
	scripts/check --static

format: install ## format the Python code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

wheel: install ## build the Python wheel into server-wheel/
	rm -rf server-wheel
	$(BIN)/python -m build --wheel --no-isolation --outdir server-wheel .

vsix: node wheel ## build the installable VS Code extension, the server's wheel inside
	$(NPM) run vsix

bench: bench-latency bench-infill ## measure latency and infilling

bench-latency: model ## type a session into this server and into llama.cpp's (10 minutes)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group bench
	$(BIN)/python benchmarks/latency.py --plot docs/images/latency.svg

bench-infill: model ## score the base and its adapter again, into build/ (an hour)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group bench
	$(BIN)/python benchmarks/infill.py --out build/infill.json --plot build/infill.svg

bench-context: model ## score context and filters in the history of projects, into build/ (hours)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group dev
	$(BIN)/python benchmarks/context.py --part development --out build/context.json
	$(BIN)/python benchmarks/context.py --out build/context.json

bench-trainer: model ## time the trainer against TRL's, and whole updates (an hour)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group reference
	$(BIN)/python benchmarks/trainer.py --default
	$(BIN)/python benchmarks/trainer.py --update

bench-quiet: install ## judge the quiet policy again by recorded suggestions, into build/ (a minute)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group bench
	$(BIN)/python benchmarks/quiet.py report --out build/quiet.json --plot build/quiet.svg

bench-instant: model ## replay unseen projects: what does learning at once gain? into build/ (an hour)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group bench
	$(BIN)/python benchmarks/instant.py --out build/instant.json

bench-learning: model ## practise, train, be examined on unseen projects, into build/ (3 to 4 hours)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group bench
	$(BIN)/python benchmarks/learning.py --out build/learning.json --plot build/learning.svg

bench-headroom: model ## what could an adapter learn of a project, however it is trained? into build/ (an hour)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group bench
	$(BIN)/python benchmarks/headroom.py --out build/headroom.json

bench-falcon: model ## which part of FALCON helps: three arms, 100 holes, into build/ (25 minutes)
	$(BIN)/python benchmarks/falcon.py --out build/falcon-small.json

clean: ## remove what was built, not what was learned
	rm -rf $(VENV) node_modules tests/vscode/node_modules build dist server-wheel extension/out
