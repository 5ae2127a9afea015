"""``python -m wsis`` is ``wsis``."""

from wsis.cli import main

main()
