VENV := .venv
PY := $(VENV)/bin/python
IMAGE ?=
PORT ?= 3100
BIND ?= 127.0.0.1:8000
JOBS ?= 2

# Debian's python3 has no ensurepip: venv makes the folder, the system's pip fills it.
$(VENV)/.installed: pyproject.toml setup.cfg
	python3 -m venv --without-pip $(VENV)
	python3 -m pip --python $(VENV) install --quiet --editable ".[docs,dicom,example,postgresql,prometheus,site,test]"
	touch $@

.PHONY: demo deploy docs test test-browser screenshots check chaos bench bench-statistics bench-rollup format test-remote wheel clean

demo: $(VENV)/.installed ## Install, migrate, start the example app on port 3100, show real answers.
	$(PY) -m example_app.demo --port $(PORT) $(if $(IMAGE),--image "$(IMAGE)") $(if $(DEMO_ONCE),--once)

docs: $(VENV)/.installed ## The site in English and Turkish, in docs/_build; a warning is an error.
	$(PY) -m sphinx -q -W --keep-going -j auto -c docs -D language=en docs/en docs/_build/en
	$(PY) -m sphinx -q -W --keep-going -j auto -c docs -D language=tr docs/tr docs/_build/tr
	$(PY) -m docs.check docs/_build

deploy: $(VENV)/.installed ## Deploy the example app: eight steps, then a server in the background. DRY_RUN=1 only looks.
	$(VENV)/bin/flask --app example_app ailydian deploy --bind $(BIND) $(if $(DRY_RUN),--dry-run)

test: $(VENV)/.installed ## Every test; those that measure alone, after the others. JOBS=2 for two at once.
	$(PY) -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder -m "not alone"
	$(PY) -m pytest -m alone

$(VENV)/.browser: $(VENV)/.installed
	python3 -m pip --python $(VENV) install --quiet --editable ".[browser]"
	touch $@

test-browser: $(VENV)/.browser ## Every page and component in a real browser (Debian's chromium).
	$(PY) -m pytest tests/browser

screenshots: $(VENV)/.browser ## Make the pictures in docs/images anew.
	AILYDIAN_SCREENSHOTS=docs/images $(PY) -m pytest tests/browser -k screenshot

check: $(VENV)/.installed ## Style, types and tests.
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(MAKE) test

bench: $(VENV)/.installed ## Measure: ROUNDS=5, ONLY=throughput,overhead, PEERS=1, QUICK=1 to see that it runs.
	$(PY) -m bench $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(ONLY),--only $(ONLY)) \
	  $(if $(PEERS),--peers) $(if $(QUICK),--quick)

chaos: $(VENV)/.installed ## The long form: 100 kills each, 600 power cuts, 1,000 tampered trails.
	AILYDIAN_KILL_ROUNDS=100 AILYDIAN_POWER_CUTS=600 AILYDIAN_TAMPERS=1000 \
	  $(PY) -m pytest tests/chaos tests/audit/test_verify.py

SERVERS ?= kserve mlserver triton

test-remote: $(VENV)/.installed ## Against real servers: installs them, a minute each. SERVERS="kserve mlserver triton"
	$(PY) tests/remote/environments.py $(SERVERS)
	AILYDIAN_REMOTE_SERVERS=$$(echo $(SERVERS) | tr ' ' ,) $(PY) -m pytest tests/remote

format: $(VENV)/.installed
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

wheel: $(VENV)/.installed
	$(PY) -m build

bench-statistics: $(VENV)/.installed ## How often the A/B tests are wrong, and how often they see what is there.
	$(PY) -m bench.statistics

bench-rollup: $(VENV)/.installed ## How long a million rows take, on SQLite and on PostgreSQL.
	$(PY) -m bench.rollup

clean:
	rm -rf $(VENV) bench/.work bench/.envs build dist docs/_build *.egg-info instance
