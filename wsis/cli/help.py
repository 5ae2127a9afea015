"""``wsis help``: prints what the troubleshooting page says of a message."""

from typing import Annotated

import typer

from wsis.cli import _options as options
from wsis.cli._errors import COMMANDS, UsageError
from wsis.cli._topics import slug, topics

app = options.command_group()


@options.command(app.command, strict=False)
def help_(
    words: Annotated[list[str] | None, typer.Argument(metavar="WORDS")] = None,
) -> None:
    """Say why a message came and what to do; it names the words to give.

    Without words, list the sections. With the name of a command, print its --help.

    Args:
        words: Those of a section or a message, or some of them.

    Examples:
        wsis help cues-look-at-the-background
        wsis help is damaged
        wsis help predict
    """
    known = topics()
    if words is None:
        for topic in known:
            if not topic.quoted:
                typer.echo(topic.name)
        typer.echo(
            f"and {sum(topic.quoted for topic in known)} messages, by their words"
        )
        return
    wanted = slug(" ".join(words))
    found = [topic for topic in known if topic.name == wanted] or [
        topic
        for topic in known
        if set(wanted.split("-")) <= set(slug(topic.title).split("-"))
    ]
    # Sections may begin with the word of a command, too: proposals miss objects.
    if words[0] in COMMANDS and (len(words) == 1 or not found):
        COMMANDS[words[0]].main([*words[1:], "--help"], f"wsis {words[0]}")
    if not found:
        raise UsageError(
            "expected words of a section or a message, or a command, got "
            f"{' '.join(words)!r}; wsis help lists the sections, and wsis --help the "
            "commands"
        )
    typer.echo("\n\n".join(f"{topic.title}\n\n{topic.text}" for topic in found))
