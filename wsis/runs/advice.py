"""Advice on data and runs: what is likely to spoil masks, what spoils most first."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from wsis._support.checks import few
from wsis.contracts import GroundTruth, Proposals, Tagged
from wsis.data.halves import photos_of_each
from wsis.evaluation.proposals import coverage
from wsis.features.frozen import sample
from wsis.proposals.bags import Bag
from wsis.runs._card import BaseCard
from wsis.runs.recipes import PHOTOS, Recipe
from wsis.runs.refine.settings import RefineSettings
from wsis.runs.run import Card

ENOUGH = 20
"""Photos of a class, below which it is learned badly."""

COVERED = 0.7
"""Share of objects with a proposal of IoU 0.5: what no miner can exceed."""

LOOK = 20
"""Photos that proposals and cues are looked at on."""

AROUND = 1 / 3
"""Share of photos whose cues lie along three sides, above which it is no accident."""

_OFTEN, _SHORTEST, _LIKE = 4, 4, 0.8
"""How much rarer a misspelt tag is, letters, and likeness by ``difflib``."""

_NAMED = 8
"""Classes that advice lists by name."""

Topic = Literal[
    "tags that every tagged photo has",
    "classes without a photo",
    "proposals miss objects",
    "the training was short",
    "cues look at the background",
    "tags that are much alike",
    "masks that cover the photo",
    "tags with fewer than 20 photos",
    "photos without a tag",
]
"""Kinds of advice, what helps most first; Troubleshooting has a section for each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """A fault and its remedy.

    Args:
        topic: the kind of fault.
        text: in words, with what to do.
    """

    topic: Topic
    text: str

    def __str__(self) -> str:
        return f"{self.text} (wsis help {self.topic.replace(' ', '-')})"


def by_effect(found: Iterable[Advice]) -> list[Advice]:
    """Return advice in the order of its effect on masks."""
    return sorted(found, key=lambda one: get_args(Topic).index(one.topic))


def of_tags(tagged: Tagged, unused: Sequence[str] = ()) -> Iterator[Advice]:
    """Look at how often each tag occurs.

    Args:
        tagged: the training photos.
        unused: classes that files list, and that were left out as no photo has them.
    """
    counts = photos_of_each(tagged)
    with_tags = [one for one in tagged.images if one.tags.any()]
    always = [name for name, count in counts.items() if count == len(with_tags) > 0]
    if always and not tagged.background:
        yield Advice(
            topic="tags that every tagged photo has",
            text=f"tags that every tagged photo has ({len(always)}): {few(always)}; "
            "nothing shows how photos without look, so background is taken for it; add "
            "photos of none of these with the tag background, or of other things with "
            "tags of their own",
        )
    never = [name for name, count in counts.items() if count == 0]
    if never or unused:
        remedy = "they are left out" if not never else "leave them out with --classes"
        yield Advice(
            topic="classes without a photo",
            text=f"classes without a photo ({len(never) + len(unused)}): "
            f"{few([*never, *unused])}; {remedy}",
        )
    yield from _alike(counts)
    rising = sorted(counts.items(), key=lambda one: one[1])
    scarce = [f"{name} ({n})" for name, n in rising if 0 < n < ENOUGH]
    if scarce:
        yield Advice(
            topic="tags with fewer than 20 photos",
            text=f"tags with fewer than {ENOUGH} photos ({len(scarce)}): "
            f"{few(scarce, most=_NAMED)}; add photos, or expect poor masks of these",
        )
    if none := tagged.epoch - len(with_tags):
        yield Advice(
            topic="photos without a tag",
            text=f"photos without a tag: {none}; training leaves them out, so tag them "
            "if they show one of the things, or background if they show none",
        )


def _alike(counts: Mapping[str, int]) -> Iterator[Advice]:
    """Look for rare tags that are spelt as a frequent one, but for a letter or two."""
    pairs = []
    for name, count in counts.items():
        others = [one for one, n in counts.items() if 0 < count * _OFTEN <= n]
        if name.isalpha() and len(name) >= _SHORTEST:
            near = get_close_matches(name, others, n=1, cutoff=_LIKE)
            pairs += [f"{name} ({count}) and {one} ({counts[one]})" for one in near]
    if pairs:
        yield Advice(
            topic="tags that are much alike",
            text=f"tags that are much alike ({len(pairs)}): "
            f"{few(pairs, most=_NAMED)}; if one is a misspelling of the other, give "
            "these photos one tag",
        )


def of_masks(everywhere: Sequence[str]) -> Iterator[Advice]:
    """Tell of classes whose masks say which photos show them, and not where.

    Args:
        everywhere: their names, as ``report.unplaced`` returns them.
    """
    if everywhere:
        yield Advice(
            topic="masks that cover the photo",
            text=f"masks of {few(everywhere, most=_NAMED)} cover most of the photo on "
            "most photos: unless these fill their photos, the run tells which photos "
            "show them, not where",
        )


def of_proposals(
    proposals: Iterable[Proposals],
    truths: Sequence[GroundTruth],
    classes: Sequence[str],
    source: str,
) -> Iterator[Advice]:
    """Look at how many objects have a proposal: a bound on what any miner finds.

    Args:
        proposals: of each photo, in the order of ``truths``.
        truths: the objects.
        classes: names of labels 1…C.
        source: of the proposals, as it is typed.
    """
    best = coverage(proposals, truths, classes, bounds=False).best[-1]
    missed = int((best < 0.5).sum())
    if missed > (1 - COVERED) * len(best):
        yield Advice(
            topic="proposals miss objects",
            text=f"proposals of {source} miss {missed} of {len(best)} objects on "
            f"{len(truths)} photos (IoU below 0.5), which no miner finds then; try "
            "more of them or --set source=hed, and look: wsis proposals show PHOTO "
            "--out looks",
        )


def of_length(card: BaseCard) -> Iterator[Advice]:
    """Look at how many photos a training saw, repeats included."""
    usual = RefineSettings().paced
    if isinstance(card, Card):
        usual = Recipe.read(PHOTOS).settings.schedule
    least = usual.min_iterations * usual.batch
    if card.images < least:
        yield Advice(
            topic="the training was short",
            text=f"the training was short: it saw {card.images:,} photos, repeats "
            f"included, and {least:,} are the least by default; {card.AGAIN} with "
            f"--set schedule.min_iterations={usual.min_iterations}",
        )


def of_cues(
    cues: Callable[[Bag], Int[Tensor, "N C1"] | None], bags: Sequence[Bag]
) -> Iterator[Advice]:
    """Look at whether cues mark things in the photos, or what is around them.

    Args:
        cues: gives a bag's labels.
        bags: those trained on; some with tags are looked at.
    """
    some = sample([bag for bag in bags if bag.tags.any()])[:LOOK]
    judged = [
        _surrounds(bag.proposals, marked)
        for bag in some
        if (labels := cues(bag)) is not None
        and (marked := (labels[:, 1:] > 0).any(1)).any()
    ]
    if sum(judged) > AROUND * len(judged):
        yield Advice(
            topic="cues look at the background",
            text="cues look at the background: what they mark lies along three sides "
            f"on {sum(judged)} of {len(judged)} photos; look at them with wsis cues "
            "show, and add photos that have the background without the tag",
        )


def _surrounds(proposals: Proposals, marked: Bool[Tensor, " N"]) -> bool:
    """Tell whether what most marked proposals share lies along most of three sides."""
    share = proposals.members[marked].float().mean(0)
    agreed = (share >= min(0.5, float(share.max())))[proposals.regions.long()]
    sides = torch.stack(
        [side.float().mean() for side in (agreed[0], agreed[-1])]
        + [side.float().mean() for side in (agreed[:, 0], agreed[:, -1])]
    )
    return int((sides > 0.5).sum()) >= 3


__all__ = [
    "Advice",
    "by_effect",
    "of_cues",
    "of_length",
    "of_masks",
    "of_proposals",
    "of_tags",
]
