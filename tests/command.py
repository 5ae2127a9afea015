"""The command line, run in this process."""

import re

from typer.testing import CliRunner

from wsis.cli import app


def wsis(*args, code=0):
    """What a command prints: stdout and stderr, white space as single spaces."""
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    assert result.exit_code == code, result.output
    return " ".join(re.sub("[│╭╮╰╯─]", " ", result.output).split())
