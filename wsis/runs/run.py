"""Trains from tags, and keeps the result as a folder that is loaded again."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import torch
from jaxtyping import Bool
from pydantic import model_validator
from torch import Tensor

from wsis import plugins
from wsis._support.checks import at_least, few, warn
from wsis._support.places import cache_folder, torch_device
from wsis._support.progress import Monitor, Silent
from wsis._support.provenance import commit, device_in_words, versions
from wsis.contracts import (
    Assigner,
    Backbone,
    CueSource,
    DataSource,
    Miner,
    NoiseSampler,
    Numbered,
    ProposalHead,
    ProposalSource,
    Tagged,
    TaggedImage,
)
from wsis.cues.balance import hint
from wsis.data.annotations import known_classes
from wsis.data.halves import summary, tell_repeated, tell_shared, tell_untagged
from wsis.features.backbones import RANDOM
from wsis.geometry.predictions import Predictions
from wsis.proposals.bags import keys_of
from wsis.runs._ahead import make_ahead
from wsis.runs._card import CHECKPOINT, BaseCard, RunError, check_room
from wsis.runs._identity import STATE
from wsis.runs._trained import Picture, Tick, Trained, as_image, counting
from wsis.runs.branches import Branch, branches_of
from wsis.runs.pipeline import Pipeline
from wsis.runs.recipes import Recipe, suited
from wsis.runs.settings import (
    PART_KINDS,
    Overrides,
    Part,
    Settings,
    SettingsError,
    checked_seeds,
    dataset,
)
from wsis.training.network import Model
from wsis.training.ranks import ALONE, Ranks
from wsis.training.trackers import Trackers, following, trackers

AnyPart = ProposalSource | Backbone | ProposalHead | CueSource | NoiseSampler | Assigner
"""An object that does the work of one of these kinds of parts."""

if TYPE_CHECKING:
    from wsis.runs.refine.refined import Refined


class Card(BaseCard):
    """The content of ``run.json``: everything about a run but its weights.

    Args:
        settings: name the parts.
        miner: that taught it.
        classes: names of labels 1…C.
        category_ids: the training set's own numbers of these classes.
    """

    FILE: ClassVar[str] = "run.json"
    WHAT: ClassVar[str] = "run"
    AGAIN: ClassVar[str] = "train again"
    IDENTITY: ClassVar[set[str]] = {
        *("settings", "miner", "seed", "data", "classes", "category_ids")
    }

    settings: Settings
    miner: Part
    classes: tuple[str, ...]
    category_ids: tuple[int, ...]

    @model_validator(mode="after")
    def _one_number_each(self) -> "Card":
        for name in ("classes", "category_ids"):
            found = getattr(self, name)
            if len(set(found)) != len(self.classes):
                raise ValueError(
                    f"expected {len(self.classes)} {name}, each once, got {found}"
                )
        return self

    @property
    def name(self) -> str:
        """The miner, with its settings."""
        return self.miner.label

    @classmethod
    def of(
        cls,
        pipeline: Pipeline,
        miner: Part,
        seed: int,
        tagged: Tagged,
        category_ids: tuple[int, ...] = (),
    ) -> "Card":
        """Return the card of a run about to begin; categories are 1…C by default."""
        return cls(
            settings=pipeline.settings,
            miner=miner,
            seed=seed,
            data=tagged.name,
            classes=tagged.classes,
            category_ids=category_ids or tuple(range(1, len(tagged.classes) + 1)),
            supervision=tuple(sorted(pipeline.ledger)),
            versions=versions(),
            commit=commit(),
            devices=(device_in_words(pipeline.device),),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Run(Trained):
    """A trained model and the pipeline that serves it.

    Args:
        card: what it is.
        model: its weights, in evaluation mode.
        photos: keys of the photos that it was trained on.
        pipeline: gives its proposals and features.
    """

    card: Card
    model: Model
    pipeline: Pipeline

    @property
    def parts(self) -> int:
        """Proposals, the scores of each view, and masks."""
        return 2 + len(self.pipeline.test_views)

    def find(
        self,
        image: TaggedImage,
        allowed: Bool[Tensor, " C"] | None = None,
        tick: Tick = lambda done: None,
    ) -> Predictions:
        """Return the instances on one image, of the classes allowed."""
        [bag] = self.pipeline.test_bags([image])
        return self.pipeline.predict(self.model, bag.once(), allowed, tick)

    def branches(
        self,
        photo: Picture,
        *,
        tags: Iterable[str] | str | None = None,
        miner: Part | Miner | str | None = None,
    ) -> list[Branch]:
        """Return each branch's scores on a photo, and the pseudo instances mined there.

        They are those of the model as it is, seeing the photo once, by the proposals of
        prediction. The list is empty where there are no proposals.

        Args:
            photo: as in ``predict``; an image of a data set brings its tags.
            tags: the classes on the photo, which the miner looks for.
            miner: mines in place of the one that taught the run, to compare them on the
                same scores.

        Raises:
            FileNotFoundError: if there is no such file.
            LookupError: if a tag is no class of the run, or there is no such miner.
            ValueError: if it is not a photo, or has no tags.
        """
        image = as_image(photo, len(self.classes))
        if tags is not None:
            known = known_classes(tags, self.classes)
            found = torch.tensor([name in known for name in self.classes])
            image = replace(image, tags=found, points=None, counts=None)
        if not image.tags.any():
            raise ValueError(
                f"expected the tags of {image.name}, which the miner looks for, got "
                f"none; give them as tags=[...], of {few(self.classes)}"
            )
        [bag] = self.pipeline.test_bags([image])
        strategy = self.pipeline.strategy(self.card.miner if miner is None else miner)
        given = self.pipeline, self.model, strategy, bag.once(), self.classes
        return branches_of(*given)


def train(
    data: DataSource | Tagged | str,
    miner: Part | Miner | str | None = None,
    *,
    val: Tagged | None = None,
    recipe: str | None = None,
    settings: Settings | Overrides = (),
    seed: int = 0,
    device: str | torch.device = "auto",
    cache: str | Path | None = None,
    folder: str | Path | None = None,
    resume: bool = False,
    steps: int | None = None,
    monitor: Monitor | None = None,
    ranks: Ranks = ALONE,
    tracker: Trackers = (),
    cluster: str | None = None,
) -> Run:
    """Train a model from tags alone.

    Args:
        data: gives the training images and their tags; no mask is read. A data set's
            name with settings will do: ``folder:root=photos``.
        miner: an object, or a name with settings such as ``cim:p_seed=0.2``; None takes
            the recipe's, beside complete ``Settings`` ``cim``.
        val: photos to measure on; a warning tells which of them are trained on.
        recipe: settings by name, or a TOML file; see ``wsis recipe list``. None takes
            ``photos-small``, for drawn scenes ``scenes-small``.
        settings: what differs from the recipe: ``key=value`` texts, or a mapping of
            keys to values, parts as names or objects.
        seed: of everything drawn; the same seed gives the same model.
        device: where the model is; ``auto`` takes the fastest.
        cache: folder for proposals, features and cues; None takes the user's.
        folder: where checkpoints are kept, as in ``wsis.training.fit``, and the run in
            the end; None keeps nothing.
        resume: continues the run in ``folder``, with the result of one that never
            stopped.
        steps: stops after so many images in all, resumed ones included.
        monitor: is told of progress.
        ranks: the processes that train the model together, which each call this with
            the same arguments; the first one writes. See ``wsis.training.joined``.
        tracker: draws curves of losses and rates: ``tensorboard:FOLDER`` (the run's
            folder without one), ``mlflow:URI``, a ``wsis.training.Tracker``, or several
            of them. One that fails during training is warned of, and told no more.
        cluster: the address of a Dask scheduler, whose workers make proposals, features
            and cues before the training, and see cache and photos under the same paths.

    Raises:
        LookupError: if a part or recipe is not installed.
        RunError: if ``folder`` exists and ``resume`` is False, or holds another run.
        ValueError: if a setting is not allowed, weights are missing, or the data have
            no tags or proposals to learn from.
    """
    monitor, several = monitor or Silent(), trackers(tracker)
    [seed] = checked_seeds([seed])
    if not isinstance(data, Tagged):
        data = dataset(data)
    if miner is None:
        learned = None if isinstance(settings, Settings) else data
        miner = (suited(learned) if recipe is None else Recipe.read(recipe)).miner
    part = Part.of(miner, "miners")
    if resume and folder is None:
        raise SettingsError("expected the folder of the run to resume, got none")
    parts = Pipeline.of(
        recipe=recipe, settings=settings, device=device, cache=cache, data=data
    )
    if steps is not None:
        at_least("steps", steps, 1)
    if cluster is not None and ranks.count > 1:
        raise SettingsError(
            "expected a cluster or several processes that train together, got both; "
            "run with a cluster first, for one step, then start torchrun without it"
        )
    strategy = parts.strategy(part)
    tagged = data if isinstance(data, Tagged) else data.train()
    parts = parts.trained_on(tagged)
    tell_untagged(tagged)
    monitor.say(summary(tagged))
    numbers = data.category_ids() if isinstance(data, Numbered) else ()
    _check_batch(parts.settings.schedule.batch, ranks)
    card = Card.of(parts, part, seed, tagged, tuple(numbers))
    place = None if folder is None or not ranks.first else Path(folder)
    if place is not None:
        card = card.begin(place, resume=resume)
    training = card.training(
        part.label, place, parts.settings.resolved(), resumes=resume
    )
    with following(several if ranks.first else (), training) as curves:
        bags = parts.bags(tagged.images)
        card = card.model_copy(update={"inputs": parts.inputs(bags, monitor, strategy)})
        blank = parts.model(len(tagged.classes), seed)
        parts.rehearse(blank, strategy)
        if place is not None:
            card = card.begin(place, resume=True)
            check_room(place, blank)
        if cluster is not None:
            make_ahead(cluster, parts, bags, seed, monitor)
        else:
            own = bags[ranks.rank :: ranks.count]
            step = monitor.start("proposals and features", len(own))
            parts.prepare(own, lambda bag: step(bag.image.name))
        ranks.wait()
        keys = [bag.key for bag in bags]
        tell_repeated(tagged.images, keys)
        if val is not None:
            tell_shared(val.images, keys_of(parts.bags(val.images)), keys)
        cues = parts.cues(bags, seed)
        if parts.settings.anti_noise and (advice := hint(cues, bags)):
            monitor.say(f"hint: {advice}")
        images = tagged.epoch
        _, last = parts.rounds(images, steps)
        total = last or parts.settings.schedule.images(images)
        follow = curves.of(parts.settings.schedule, images, total)
        tell = counting(monitor, f"{part.label}, seed {seed}: train", total, follow)
        model, progress = parts.train(
            tagged,
            part,
            seed,
            bags=bags,
            cues=cues,
            checkpoint=None if place is None else place / CHECKPOINT,
            steps=steps,
            tick=tell,
            monitor=monitor,
            ranks=ranks,
        )
        card = card.trained(progress)
        run = Run(card=card, model=model, photos=keys, pipeline=parts)
        return run if place is None else run.save(place)


def _check_batch(batch: int, ranks: Ranks) -> None:
    """Refuse batches that leave processes without an image; warn of uneven shares."""
    if batch < ranks.count:
        raise SettingsError(
            f"expected schedule.batch of at least {ranks.count}, an image for each "
            f"process, got {batch}; give --set schedule.batch={ranks.count}, or start "
            "fewer processes"
        )
    if batch % ranks.count:
        warn(
            f"schedule.batch={batch} is no multiple of {ranks.count} processes, so "
            "some of them wait at the end of every batch"
        )


def load(
    folder: str | Path,
    *,
    device: str | torch.device = "auto",
    cache: str | Path | None = None,
    parts: Mapping[str, Part | AnyPart | str] | None = None,
) -> "Run | Refined":
    """Return the model that a folder holds, ready to predict; nothing is unpickled.

    Args:
        folder: what ``Run.save``, ``wsis train`` or ``wsis refine`` wrote.
        device: where the model is; ``auto`` takes the fastest.
        cache: folder for proposals and features; None takes the user's.
        parts: parts that the run was trained with as objects and that cannot be
            imported, by the name of their setting: ``{"head": MyHead(...)}``.

    Raises:
        RunError: if the folder is missing, damaged, unfinished or something else, or a
            part or the frozen backbone's weights are others than the run's.
        LookupError: if one of its parts is not installed.
        ValueError: if the backbone's weights are missing.
    """
    from wsis.runs.refine.refined import RefinedCard, load_refined

    place = Path(folder)
    if (place / RefinedCard.FILE).is_file():
        return load_refined(place, torch_device(device))
    return load_run(place, device=device, cache=cache, parts=parts)


def load_run(
    folder: Path,
    *,
    device: str | torch.device = "auto",
    cache: str | Path | None = None,
    parts: Mapping[str, Part | AnyPart | str] | None = None,
) -> Run:
    """Return the run that a folder holds, as ``load`` does, but no refined detector."""
    card = Card.read(folder)
    card.check_weights(folder)
    pipeline = Pipeline(
        _own_weights(_with_objects(card.settings, parts, folder)),
        cache_folder(cache),
        torch_device(device),
        card.ledger,
    )
    then = card.inputs.get("backbone")
    if card.settings.freeze and then not in (None, pipeline.weights):
        raise RunError(
            f"expected the backbone's weights that the run in {folder} was trained on, "
            f"those of {card.settings.backbone.label} are others now; put them back, "
            "or train again"
        )
    model = pipeline.model(len(card.classes), card.seed)
    card.read_weights(folder, model)
    photos = card.read_photos(folder)
    return Run(card=card, model=model.eval(), photos=photos, pipeline=pipeline)


def _with_objects(
    settings: Settings, parts: Mapping[str, Part | AnyPart | str] | None, folder: Path
) -> Settings:
    """The settings of a run, with parts that are given as objects."""
    found: dict[str, Part] = {}
    for name, value in (parts or {}).items():
        if name not in PART_KINDS:
            raise SettingsError(
                f"expected parts by the name of their setting, one of "
                f"{', '.join(PART_KINDS)}; got {name!r}"
            )
        part, wanted = Part.of(value, PART_KINDS[name]), getattr(settings, name)
        if part != wanted:
            raise RunError(
                f"expected the {name} that the run in {folder} was trained with, "
                f"{wanted.label if wanted else 'none'}; got {part.label}"
            )
        found[name] = part
    for name in PART_KINDS:
        part = found.get(name) or getattr(settings, name)
        if part is not None and part.given is None and set(part.settings) == {STATE}:
            raise RunError(
                f"the run in {folder} was trained with a {name} that was an object, "
                f"{part.name}; give it again: parts={{{name!r}: ...}}"
            )
    return settings.model_copy(update=found) if found else settings


def _own_weights(settings: Settings) -> Settings:
    """Settings that ask for no file of weights where the model holds the backbone."""
    backbone = settings.backbone
    if (
        settings.freeze
        or backbone.given is not None
        or "weights" not in plugins.settings("backbones", backbone.name)
    ):
        return settings
    return Settings.read([f"backbone.weights={RANDOM}"], settings)
