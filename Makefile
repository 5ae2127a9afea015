.PHONY: check fix test docs

check:  ## what CI runs, in the environment that is active
	ruff check . && ruff format --check . && mypy && pytest -q -n auto
	for example in examples/*.py; do python $$example || exit 1; done
	mkdocs build --strict --quiet --site-dir /tmp/wsis-site

fix:  ## format and mend what ruff can
	ruff check --fix . ; ruff format .

test:
	pytest -q -n auto

docs:
	mkdocs serve
