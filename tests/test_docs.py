import itertools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language):
    for page in PAGES:
        found = re.findall(rf"```{language}\n(.+?)```", page.read_text(), re.S)
        for i, code in enumerate(found):
            yield pytest.param(code, id=f"{page.stem}-{i}")


@pytest.mark.parametrize("code", list(blocks("python")))
def test_python_snippets_run(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    exec(compile(code, "snippet", "exec"), {"__name__": "snippet"})


@pytest.mark.parametrize("code", list(blocks("sh")))
def test_commands_in_the_docs_are_understood(code):
    """Every ``wsis`` command names what exists: options, miners, settings."""
    import typer

    from wsis import plugins
    from wsis.cli import app
    from wsis.experiments import vary
    from wsis.runs.settings import Part, Settings

    group = typer.main.get_command(app)
    for line in re.findall(r"^.*?\bwsis ((?!\[)[a-z].*)$", code, re.M):
        words = line.split("#")[0].split("&&")[0].split()
        command = group
        while words and hasattr(command, "commands"):
            if words[0].startswith("--") and command is not group:
                break  # the options of a group that is a command itself
            command = command.commands[words.pop(0)]
        options = {
            name for p in command.params for name in (*p.opts, *p.secondary_opts)
        }
        for name, value in itertools.pairwise([*words, ""]):
            if name.startswith("--"):
                assert name in options, line
            if name in ("--miners", "--miner"):
                for part in value.split(","):
                    assert Part.parse(part).build("miners"), line
            if name == "--vary":
                assert all(
                    v.settings(Settings()) for v in vary(value, Part(name="cim"))
                )
            if name == "--set":
                Settings.read([value])
            if name == "--data":
                assert Part.parse(value).name in plugins.names("datasets")
