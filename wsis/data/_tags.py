"""Tags as people write them: cleaned, compared, and doubted."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from html import unescape
from pathlib import Path
from unicodedata import category, normalize
from urllib.parse import unquote

from wsis._support.checks import few, warn
from wsis.data.names import ALIKE, is_invisible, plain


def clean(text: str, where: str) -> str:
    """Return a tag in one Unicode form, without invisible signs that join nothing."""
    kept = "".join(
        sign
        for sign in normalize("NFC", text)
        if sign in _JOINERS or category(sign) != "Cf"
    )
    tag = re.sub(" +", " ", kept).strip().strip(_JOINERS)
    if len(tag) > 1 and tag[0] in _QUOTES and tag[-1] in _QUOTES:
        raise ValueError(
            f"{where}: expected tags without quotes, got {tag}; only a CSV's own "
            'quotes are taken off, as in photo.jpg,"dog, sofa"'
        )
    return tag


def counted(tag: str, where: str) -> tuple[str, int]:
    """Return a tag without its count, and the count: ``dog:2`` is two dogs.

    The count is 0 where there is none; text behind a colon is part of the tag.

    Raises:
        ValueError: if there is another number than a count behind the colon.
    """
    found = _COUNT.fullmatch(tag)
    if found is None:
        return tag, 0
    name, number = found.groups()
    if not number.isdecimal() or len(number) > 4 or not 1 <= int(number) <= MOST:
        raise ValueError(
            f"{where}: expected a count from 1 to {MOST} behind the colon, got {tag}; "
            "leave a tag out where a photo has no such object. If the number is part "
            "of the name: --data folder:counts=false"
        )
    return clean(name, where), int(number)


_COUNT = re.compile(r"(.*\S)\s*[:\uff1a]\s*([+-]?\d[\d.]*)")

MOST = 1000
"""The largest count of a tag."""


def seems_counted(tag: str) -> bool:
    """Tell whether a table's tag would be read as one with a count, or refused."""
    return _COUNT.fullmatch(tag) is not None


def tallied(tags: Iterable[tuple[str, int]], where: str) -> dict[str, int]:
    """Return tags, each once, with their counts; 0 where nobody counted.

    Raises:
        ValueError: if a tag has several counts.
    """
    found: dict[str, int] = {}
    for tag, count in tags:
        known = found.get(tag, 0)
        if known and count not in (0, known):
            raise ValueError(
                f"{where}: expected one count of {tag}, got {known} and {count}"
            )
        found[tag] = known or count
    return found


_JOINERS = "\u200c\u200d"
"""Persian and other languages, and emoji, are spelled with them."""

_QUOTES = "\"'`´‘’‚“”„«»‹›"


def is_background(tag: str) -> bool:
    """Tell whether a tag says that a photo shows none of the classes."""
    return plain(tag) == BACKGROUND


BACKGROUND = "background"
"""The tag of photos that show none of the classes."""


def classes_of(
    photos: Sequence[tuple[str, Iterable[str]]], root: Path
) -> tuple[str, ...]:
    """Return the classes in order, background left out; warn of doubtful tags.

    Raises:
        ValueError: if there are none, or some are spelled in several ways.
    """
    first: dict[str, str] = {}
    for name, tags in photos:
        for tag in tags:
            if not is_background(tag):
                first.setdefault(tag, name)
    if not first:
        raise ValueError(
            f"expected photos with tags in {root}, found none beside background"
            if any(tags for _, tags in photos)
            else f"expected photos with tags in {root}, found none"
        )
    spelled: dict[str, list[str]] = defaultdict(list)
    for tag in first:
        spelled[plain(tag)].append(tag)
    several = [tags for tags in spelled.values() if len(tags) > 1]
    if several:
        shown = [
            " and ".join(f"{tag!r}{_signs(tag, tags)}" for tag in tags)
            + f" ({few([first[tag] for tag in tags])})"
            for tags in several
        ]
        raise ValueError(
            f"expected one spelling of a tag, got {few(shown, '; ')} in {root}; case, "
            "spaces, - and _ do not make a different tag"
        )
    _doubt(first, spelled)
    return tuple(sorted(first))


def _signs(tag: str, tags: Sequence[str]) -> str:
    """Return the code points of uncommon signs, where two spellings look alike."""
    looks = {
        "".join(_look(sign) for sign in normalize("NFKC", one)).translate(ALIKE)
        for one in tags
    }
    if len(looks) == len(tags):
        return ""
    odd = [sign for sign in tag if not (sign.isascii() and sign.isalnum())]
    return f" ({' '.join(f'U+{ord(sign):04X}' for sign in odd) or 'ASCII'})"


def _look(sign: str) -> str:
    return " " if sign.isspace() else "" if is_invisible(sign) else sign


def _doubt(first: dict[str, str], known: Iterable[str]) -> None:
    """Warn of tags that hold several tags, or say that there is none."""
    words = set(known)
    bare = Counter(map(_bare, words))

    def several(tag: str) -> bool:
        parts = [plain(one) for one in re.split(r"[\s/&+]|\band\b", tag) if one]
        return bool(re.search("[|;,；，、]", tag)) or (
            len(parts) > 1 and words.issuperset(parts)
        )

    def denied(tag: str) -> bool:
        other = re.fullmatch(r"(?:no|not|non|without) (.+)|(.+?) ?\?+", plain(tag))
        return other is not None and bool(words & set(other.groups()))

    def strange(tag: str) -> bool:
        """Tell whether it seems to count another tag, in another way."""
        other = re.fullmatch(r"(.+?)\s*(?:[:\uff1a].*|[x×*=]\s*\d+|\(\d+\))", tag)
        return other is not None and plain(other[1]) in words - {plain(tag)}

    for doubtful, what in (
        (
            [tag for tag in first if strange(tag)],
            "look like counts are classes of their own; write a count as dog:2",
        ),
        (
            [tag for tag in first if denied(tag)],
            "deny or doubt others are classes of their own; leave them out",
        ),
        (
            [tag for tag in first if several(tag)],
            "look like several; separate them by ; or mend them",
        ),
        (
            [tag for tag in first if bare[_bare(plain(tag))] > 1],
            "differ in an accent, a space, a stop or an s are classes of their own",
        ),
        (
            [tag for tag in first if re.fullmatch(r"[+-]?\d+(\.\d+)?", tag)],
            "are numbers are read as names of classes; mend those that count",
        ),
        (
            [tag for tag in first if plain(tag) in _NONE],
            "are read as classes; write background where there is none",
        ),
        (
            [tag for tag in first if _meant(tag) != tag],
            "look garbled, by another encoding or as in a web address, are classes of "
            "their own; mend the file that they are from",
        ),
        (
            [tag for tag in first if re.search(r"[\[\]{}\"]|^'|'$", tag)],
            "hold quotes or brackets, which count as part of the class's name",
        ),
    ):
        if doubtful:
            shown = [f"{tag} ({first[tag]})" for tag in doubtful]
            warn(f"tags that {what} ({len(doubtful)}): {few(shown)}")


def _meant(tag: str) -> str:
    """Return a tag as it was before it became UTF-8 in Windows's signs, or an address.

    Signs that are read wrong hardly ever make UTF-8 again by chance.
    """
    with suppress(UnicodeError):
        tag = tag.encode("cp1252").decode("utf-8")
    return unescape(unquote(tag))


def _bare(word: str) -> str:
    """Return a tag without accents, spaces, full stops and the s of a plural."""
    kept = (x for x in normalize("NFD", word) if category(x) != "Mn" and x not in " .")
    return "".join(kept).removesuffix("s") or word


_NONE = {
    "negative",
    "no",
    "false",
    "absent",
    "nan",
    "none",
    "null",
    "n/a",
    "na",
    "nil",
    "-",
    "--",
    "?",
    "blank",
    "empty",
    "no object",
    "no objects",
    "normal",
    "nothing",
    "undefined",
    "unknown",
    "unlabeled",
    "unlabelled",
}
