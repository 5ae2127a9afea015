.PHONY: check fix test docs

check: test  ## what CI runs, in the environment that is active
	.ci/checks

fix:  ## format and mend what ruff can
	ruff check --fix . ; ruff format .

test:
	pytest -q -n auto

docs:
	mkdocs serve
