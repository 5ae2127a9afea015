"""The growth of an instance: the seed and the pseudo instance of every branch."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock

import torch
from pycocotools import mask as rle

from wsis._support.checks import few
from wsis._support.files import PREDICTIONS, parse_json
from wsis.contracts import Image, Rle, TaggedImage
from wsis.geometry.drawing import overlay
from wsis.geometry.frame import Framed, sampled_mask
from wsis.geometry.masks import rles
from wsis.report.formats import Photo
from wsis.report.gallery import data_uri
from wsis.report.shown import Mined, mine
from wsis.runs import Run, load

SIDE = 420
"""Longer side of a picture in pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A branch of the network, and the pseudo instance that is nearest to an instance.

    Args:
        title: names the branch.
        note: the class's weight there, the growth, and how near it comes.
        uri: a picture of the seed and of what it has grown to; None where nothing of
            the class was found.
    """

    title: str
    note: str
    uri: str | None


class Growth:
    """Tells what instances have grown from, by one look of the run at their photo.

    The photo counts as tagged with the classes of its instances.

    Args:
        run: folder of the run; None takes what the predictions name.
        found: folder of the predictions.
        device: where the run works.
        cache: of its proposals and features.
    """

    def __init__(
        self, run: Path | None, found: Path, device: str, cache: Path | None
    ) -> None:
        self._place, self._found = run, found
        self._how = device, cache
        self._run: Run | None = None
        self._one_at_a_time = Lock()
        self._mined = lru_cache(maxsize=8)(self._look)

    def stages(self, photo: Photo, instance: int) -> list[Stage]:
        """Return the branches of the run, from the first on.

        Raises:
            ValueError: if there is no run with branches, or it knows other classes.
            OSError: if the run or the photo cannot be read.
        """
        with self._one_at_a_time:
            image, mined, masks = self._mined(photo)
        found = photo.found
        name = found.classes[int(found.label[instance]) - 1]
        label = self._loaded().classes.index(name) + 1
        size = image.shape[0], image.shape[1]
        own = sampled_mask(found.masks[instance], size)
        stages = []
        for one in mined:
            pairs = [
                (float(rle.iou([dict(masks[i])], [dict(own)], [0])[0, 0]), i, seed, w)
                for i, seed, of, w in zip(
                    one.index, one.seed, one.label, one.weight, strict=True
                )
                if of == label
            ]
            title = f"branch {one.branch}"
            if not pairs:
                stages.append(Stage(title=title, note=f"no {name}", uri=None))
                continue
            iou, index, seed, weight = max(pairs)
            inner = [masks[seed]] if seed != index else []
            grown = "grown from its seed" if inner else "the seed itself"
            drawn = overlay(image, [masks[index]], side=SIDE, inner=inner)
            note = f"{grown}, weight {weight:.2g}, IoU with the mask {iou:.2f}"
            stages.append(Stage(title=title, note=note, uri=data_uri(drawn)))
        drawn = overlay(image, [own], side=SIDE)
        note = f"{name} {float(found.score[instance]):.2g}"
        return [*stages, Stage(title="prediction", note=note, uri=data_uri(drawn))]

    def _loaded(self) -> Run:
        if self._run is None:
            device, cache = self._how
            place = self._place or self._told()
            run = load(place, device=device, cache=cache)
            if not isinstance(run, Run):
                raise ValueError(
                    f"{place} is a refined detector: it draws masks itself, and has no "
                    "branches and seeds"
                )
            self._run = run
        return self._run

    def _told(self) -> Path:
        """Return the run that made the predictions."""
        content = parse_json((self._found / PREDICTIONS).read_bytes())
        way = content.get("info", {}).get("run")
        if not isinstance(way, str) or not (self._found / way).is_dir():
            raise FileNotFoundError(
                f"expected the run that made {self._found}, it is not known or has "
                f"moved: wsis show {self._found} --run RUN"
            )
        return self._found / way

    def _look(self, photo: Photo) -> tuple[Image, Sequence[Mined], dict[int, Rle]]:
        """Return the photo's frame, what each branch is taught, and these masks."""
        run = self._loaded()
        there = {photo.found.classes[i - 1] for i in photo.found.label.tolist()}
        if unknown := sorted(there - set(run.classes)):
            raise ValueError(
                f"expected a run with the predictions' classes, this one has no "
                f"{few(unknown)}"
            )
        load = Framed.of(photo.read())
        image = TaggedImage(
            id=1,
            name=photo.name,
            tags=torch.tensor([name in there for name in run.classes]),
            load=load,
        )
        [bag] = run.pipeline.test_bags([image])
        bag = bag.once()
        strategy = run.pipeline.strategy(run.card.miner)
        mined = mine(run.pipeline, run.model, strategy, bag, None, most=None)
        used = sorted({i for one in mined for i in (*one.index, *one.seed)})
        masks = rles(bag.proposals, torch.tensor(used, dtype=torch.long))
        return load.pixels, mined, dict(zip(used, masks, strict=True))
