"""The troubleshooting page: its sections and messages, for the terminal."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from textwrap import fill

NAME = "troubleshooting.md"
"""Beside this file in a wheel, in ``docs`` in a repository."""

_WORDS = 4
"""Words of a message that lead to it, more where several begin alike."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A section of the page, or a message of its table.

    Args:
        name: words joined by hyphens, which ``wsis help`` takes.
        title: the heading, or the message; gaps in it are … .
        text: what to read.
        quoted: whether it is a message.
    """

    name: str
    title: str
    text: str
    quoted: bool

    def said_in(self, text: str) -> bool:
        """Tell whether a text has the message's pieces, one after the other."""
        pieces = [re.escape(piece.strip(" ;.")) for piece in self.title.split("…")]
        return self.quoted and re.search(".*".join(pieces), text, re.S) is not None


@cache
def topics() -> tuple[Topic, ...]:
    """Return the sections, then the messages; none where the page is missing."""
    here = Path(__file__).parent
    places = (here / NAME, here.parents[1] / "docs" / NAME)
    page = next((path for path in places if path.is_file()), None)
    if page is None:
        return ()
    text = page.read_text(encoding="utf-8")
    return (*_sections(text), *_messages(text))


def linked(text: str) -> str:
    """Return a message with the words that lead to its part of the page, if any."""
    if "(wsis help " in text:
        return text
    found = [topic for topic in topics() if topic.said_in(text)]
    if not found:
        return text
    # The longest says most about it.
    best = max(found, key=lambda topic: len(topic.title))
    return f"{text} (wsis help {best.name})"


def slug(title: str) -> str:
    """Return a title as the page's anchors spell it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-")


def _sections(page: str) -> Iterator[Topic]:
    for title, text in re.findall(r"^##+ (.+)\n((?:(?!##).*\n?)*)", page, re.M):
        if title not in _TABLES:
            yield Topic(slug(title), title, _wrapped(text), quoted=False)


_TABLES = "Messages", "Advice"
"""Headings that are no sections: their rows, or the headings below them, are."""


def _messages(page: str) -> list[Topic]:
    table = page.split("## Messages")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (?!message|---)(.+?) \| (.+?) \| (.+) \|$", table, re.M)
    words = [re.findall(r"\w+", title.lower().replace("'", "")) for title, *_ in rows]
    found = []
    for own, (title, why, remedy) in zip(words, rows, strict=True):
        length = _WORDS
        while sum(some[:length] == own[:length] for some in words) > 1:
            length += 1
        text = f"why: {_plain(why)}\nwhat to do: {_plain(remedy)}"
        found.append(Topic("-".join(own[:length]), title, text, quoted=True))
    return found


def _wrapped(text: str) -> str:
    """Return paragraphs in lines that fit a terminal; lists and tables as they are."""
    paragraphs = _plain(text).strip().split("\n\n")
    return "\n\n".join(
        one if one.startswith(("|", "1.")) else fill(" ".join(one.split()), 88)
        for one in paragraphs
    )


def _plain(text: str) -> str:
    """Return Markdown as a terminal shows it; links within the page are commands."""
    text = re.sub(r"\[[^]]+\]\(#([^)]+)\)", r"wsis help \1", text)
    return re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", text).replace("`", "")
