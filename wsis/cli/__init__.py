"""The command line; every command is one call of a Python function."""

from wsis.cli.commands import app


def main() -> None:
    """Runs the command line."""
    app()


__all__ = ["app", "main"]
