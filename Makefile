.PHONY: check fix test docs release-check

check: test  ## what CI runs, in the environment that is active
	.ci/checks

fix:  ## format and mend what ruff can
	ruff check --fix . ; ruff format .

test:
	pytest -q -n auto

docs:
	mkdocs serve

release-check:  ## what has to hold before a version is tagged
	python .ci/release_check.py
