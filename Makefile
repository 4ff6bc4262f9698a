# Everything is made under build/; a target that is done is not done again.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:

PYTHON ?= /usr/bin/python3
# Debian's wrapper qgis_process can be broken by /etc/default/qgis; the program behind it is not.
QGIS_PROCESS ?= $(shell command -v qgis_process.bin || echo qgis_process)

QGIS_PACKAGES := qgis python3-qgis qgis-providers gdal-bin python3-gdal python3-numpy python3-venv fonts-dejavu-core
TEST_PACKAGES := python3-pytest python3-hypothesis
REQUIREMENTS := $(wildcard imagetodem_qgis/runtime/requirements/*.txt)

# Headless: QGIS needs no screen for any of this.
export QT_QPA_PLATFORM := offscreen
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# Tests and benchmarks keep away from the user's own profile and environment.
PRIVATE = env -u IMAGETODEM_PYTHON -u PYTHONPATH QGIS_CUSTOM_CONFIG_PATH=$(CURDIR)/build/profile \
	QGIS_PLUGINPATH=$(CURDIR)/build IMAGETODEM_HOME=$(CURDIR)/build/home QGIS_PROCESS=$(QGIS_PROCESS)
ML_PYTHON := build/home/environment/bin/python

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: install ## predict a DEM of the Rocky Mountains in QGIS, draw it, and compare it with the true one
	@QGIS_PROCESS=$(QGIS_PROCESS) $(PYTHON) -m scripts.demo --output build/demo

.PHONY: install
install: qgis-packages ## put the plugin into the default QGIS profile and enable it
	@sh scripts/mend_qgis_process.sh
	@$(PYTHON) -m scripts.install

.PHONY: test
test: plugin build/environment.stamp build/test-packages.stamp ## run all tests, in a real QGIS and a real TensorFlow
	@$(PRIVATE) $(PYTHON) -m scripts.run_tests --worker-python $(ML_PYTHON) --worker-packages build/test-packages

.PHONY: lint
lint: build/lint.stamp ## ruff (lint and format), mypy, and vermin for what Python 3.9 lacks
	@failed=; \
	build/lint/bin/ruff check . || failed=1; \
	build/lint/bin/ruff format --check . || failed=1; \
	build/lint/bin/mypy || failed=1; \
	build/lint/bin/vermin --quiet --target=3.9- --violations --no-tips imagetodem_qgis training || failed=1; \
	[ -z "$$failed" ]

.PHONY: bench
bench: plugin build/environment.stamp build/bench.stamp ## prediction beside the bare engine, training beside the bare step
	@$(PRIVATE) $(PYTHON) -m scripts.bench
	@$(PRIVATE) $(ML_PYTHON) -m scripts.bench_training
	@$(PRIVATE) build/bench/bin/python -m scripts.bench_noise
	@$(PRIVATE) $(PYTHON) -m scripts.bench_scene
	@$(PRIVATE) $(PYTHON) -m scripts.bench_pairs

.PHONY: package
package: ## make build/imagetodem_qgis-<version>.zip for the plugin repository
	@$(PYTHON) -m scripts.package

.PHONY: three
three: ## bundle three.js anew for the 3D scene's viewer, after a change of scripts/three (needs npm)
	mkdir -p build/three
	cp scripts/three/* build/three/
	npm ci --prefix build/three --no-audit --no-fund
	cd build/three && node node_modules/esbuild/install.js && node_modules/.bin/esbuild entry.js --bundle --minify \
		--format=iife --global-name=THREE --legal-comments=none --outfile=three.min.js \
		--banner:js="/* three.js $$(node -p 'require("./node_modules/three/package.json").version'), MIT licence */"
	cp build/three/three.min.js imagetodem_qgis/resources/scene/three.min.js
	cp build/three/node_modules/three/LICENSE imagetodem_qgis/resources/scene/three_licence.txt

.PHONY: clean
clean: ## remove build/
	rm -rf build

.PHONY: qgis-packages
qgis-packages:
	@sh scripts/system_packages.sh $(QGIS_PACKAGES)

.PHONY: test-system-packages
test-system-packages:
	@sh scripts/system_packages.sh $(QGIS_PACKAGES) $(TEST_PACKAGES)
	@sh scripts/system_packages.sh chromium \
		|| echo "Chromium is not to be had here: tests that open pages in a browser are skipped"

.PHONY: plugin
plugin:
	@$(PYTHON) -m scripts.package --tree-only

# Made anew when a requirement changes, not when any other source does.
build/environment.stamp: $(REQUIREMENTS) | test-system-packages plugin
	@mkdir -p build/profile
	@# It fails for a plugin that is already enabled.
	@$(PRIVATE) $(QGIS_PROCESS) plugins enable imagetodem_qgis >/dev/null 2>&1 || true
	$(PRIVATE) $(QGIS_PROCESS) run imagetodem:setupenvironment -- PROFILE=train
	@test -x $(ML_PYTHON)
	@touch $@

# Beside the environment, not in it: what is tested is the environment that users get.
build/test-packages.stamp: tests/worker/requirements.txt tests/worker/independent.txt tests/worker/pytorch.txt \
		build/environment.stamp
	rm -rf build/test-packages
	$(PRIVATE) $(ML_PYTHON) -m pip install --quiet --target build/test-packages --requirement $<
	$(PRIVATE) $(ML_PYTHON) -m pip install --quiet --no-deps --upgrade --target build/test-packages \
		--requirement tests/worker/independent.txt
	$(PRIVATE) $(ML_PYTHON) -m pip install --quiet --upgrade --target build/test-packages \
		--requirement tests/worker/pytorch.txt \
		|| echo "PyTorch for the processor is not to be had here: tests that compare it with TensorFlow are skipped"
	@touch $@

build/bench.stamp: scripts/bench_requirements.txt | qgis-packages
	$(PYTHON) -m venv --clear --system-site-packages build/bench
	build/bench/bin/python -m pip install --quiet --no-deps --requirement $< \
		|| echo "pyfastnoisesimd is not to be had here: noise is compared with a loop alone"
	@touch $@

build/lint.stamp: scripts/lint_requirements.txt | lint-system-packages
	$(PYTHON) -m venv --clear build/lint
	build/lint/bin/python -m pip install --quiet --requirement $<
	@touch $@

.PHONY: lint-system-packages
lint-system-packages:
	@sh scripts/system_packages.sh python3-venv
