"""Builds the parts that settings name and runs them: train and predict in two calls."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torch
from jaxtyping import Bool
from torch import Tensor, nn

from wsis import plugins
from wsis._support.checks import few
from wsis._support.files import Cache, digest
from wsis._support.places import cache_folder, torch_device
from wsis._support.progress import Monitor, Silent
from wsis._support.randomness import generator, seeded
from wsis._support.weights import check_finite
from wsis.contracts import (
    CueLabeller,
    Describing,
    Evidential,
    Ledger,
    Miner,
    PseudoInstances,
    Supervision,
    Tagged,
    TaggedImage,
    Telling,
    View,
)
from wsis.cues.kept import Cues, Learned, Maps, label_key
from wsis.features.frozen import FrozenFeatures, LiveFeatures, lay
from wsis.features.scale import Scale, scales
from wsis.geometry.masks import from_masks
from wsis.geometry.overlap import overlaps
from wsis.geometry.predictions import Predictions
from wsis.proposals.bags import (
    Bag,
    KeptShared,
    SharedOf,
    counted,
    keys_of,
    overlaps_gigabytes,
)
from wsis.proposals.store import CachedSource, KeptSource
from wsis.runs._card import in_short
from wsis.runs._rounds import FoundTeacher
from wsis.runs._trained import counting
from wsis.runs.recipes import Recipe, suited
from wsis.runs.settings import Overrides, Part, Settings, SettingsError
from wsis.training.checkpoints import Progress
from wsis.training.class_map import ClassMap, map_steps, near_best
from wsis.training.inference import look, predict, rated, scores
from wsis.training.loop import fit
from wsis.training.network import Model
from wsis.training.ranks import ALONE, Ranks
from wsis.training.supervision import (
    Observer,
    PartError,
    Strategy,
    Teacher,
    supervise,
)

CPU = torch.device("cpu")

_MOST = 3
"""Photos of background that the class map learns from for each other one, at most."""


@dataclass(frozen=True, eq=False)
class Pipeline:
    """The parts of one run, built once and shared by all its miners and seeds.

    Args:
        settings: name the parts.
        cache: folder for proposals, frozen features and cues.
        device: where models are.
        consumed: labels that a trained model consumed, beside those of the parts.

    Raises:
        LookupError: if a part is not installed.
        ValueError: if a part's settings are out of range, or weights are missing.
    """

    settings: Settings
    cache: Path
    device: torch.device = CPU
    consumed: Ledger = frozenset()

    def __post_init__(self) -> None:
        # Every part is built once here, so that a wrong setting fails before any work.
        _ = (
            self.source,
            self.test_source,
            self.frozen,
            self.settings.build("cues"),
            self.settings.build("assigner"),
            overlaps_gigabytes(),
        )
        if self.settings.sampler is not None:
            _ = self.settings.build("sampler")
        if not self.settings.anti_noise and self.settings.cues.name == "none":
            raise SettingsError(
                "expected cues where anti_noise is false, as they then teach branch 0; "
                "got cues=none"
            )

    @classmethod
    def of(
        cls,
        *,
        recipe: str | None = None,
        settings: "Settings | Overrides" = (),
        device: str | torch.device = "auto",
        cache: str | Path | None = None,
        data: object = None,
    ) -> "Pipeline":
        """Return the pipeline of a recipe and what is changed in it.

        Args:
            recipe: a recipe's name or TOML file; None takes what suits the data.
            settings: ``key=value`` texts, or a mapping of keys to values with parts as
                names or objects; or ``Settings``, which leave nothing to a recipe.
            device: where models run; ``auto`` takes the fastest.
            cache: folder for proposals, features and cues; None takes the user's.
            data: the data set, where there is one: photos take the recipe
                ``photos-small``, drawn scenes ``scenes-small``.

        Raises:
            SettingsError: if a setting is unknown or its value is not allowed.
            DeviceError: if this machine has no such device.
            LookupError: if there is no such recipe, or a part is not installed.
            ValueError: if a part's settings are out of range, or weights are missing.
        """
        if isinstance(settings, Settings) and recipe is not None:
            raise SettingsError(
                "expected a recipe with settings to change, or Settings alone, got both"
            )
        if not isinstance(settings, Settings):
            named = suited(data) if recipe is None else Recipe.read(recipe)
            settings = Settings.read(settings, named.settings)
        return cls(settings, cache_folder(cache), torch_device(device))

    @cached_property
    def source(self) -> KeptSource:
        """Makes proposals, or finds them in the cache or in a store of their own."""
        return self._source("source")

    @cached_property
    def test_source(self) -> KeptSource:
        """Makes the proposals of photos that are predicted."""
        if self.settings.test_source is None:
            return self.source
        return self._source("test_source")

    def _source(self, field: str) -> KeptSource:
        source = self.settings.build(field)
        if isinstance(source, KeptSource):
            return source
        named = self.settings.resolved()[field]
        settings = plugins.unplaced(named["settings"], source)
        named = {**named, "settings": settings}
        other = None if field == "source" else self.source
        return CachedSource.under(self.cache / "proposals", source, named, other)

    @cached_property
    def frozen(self) -> FrozenFeatures:
        """Features of the backbone as it comes, from the cache."""
        backbone, head = self._given
        values, folder = self.settings.resolved(), self.cache / "features"
        key = {part: values[part] for part in ("backbone", "head", "source")}
        live = LiveFeatures(backbone, head if self.settings.freeze else None)
        return FrozenFeatures.under(folder, live, head, key)

    @cached_property
    def _keys(self) -> Cache:
        """Keeps the digests of photos' pixels, as this Pillow reads them."""
        return Cache.keyed(self.cache / "photos", {}, {"pillow": PIL.__version__})

    @cached_property
    def shared(self) -> SharedOf:
        """Counts the pixels that proposals share; beside features that are kept."""
        kept = self.settings.freeze
        return KeptShared.under(self.cache / "overlaps") if kept else counted

    @cached_property
    def _given(self) -> tuple[Any, Any]:
        """Backbone and head as they come, which no training changes.

        The head is built even where it pools nothing, so that its settings are checked.
        """
        backbone = self._backbone()
        return backbone, self._head(backbone.channels)

    @cached_property
    def ledger(self) -> Ledger:
        """The labels that predictions of this pipeline consume."""
        return frozenset().union(*self.ledgers.values())

    @cached_property
    def ledgers(self) -> dict[str, Ledger]:
        """The labels that each part consumes, training itself included."""
        cues: Ledger = self.settings.build("cues").ledger
        _, head = self._given
        read = head.evidence if isinstance(head, Describing) else None
        test = {"test_source": self.test_source.ledger}
        return {
            "source": self.source.ledger,
            **(test if self.settings.test_source else {}),
            "backbone": self.frozen.live.backbone.ledger,
            **({"head": read.ledger} if read else {}),
            "cues": cues,
            "training": frozenset({Supervision.TAGS}) | self.consumed,
        }

    def consuming(self, *labels: Supervision) -> "Pipeline":
        """Return the pipeline whose training consumes further labels."""
        return replace(self, consumed=self.consumed | {*labels})

    def trained_on(self, tagged: Tagged) -> "Pipeline":
        """Return the pipeline whose ledger names counts if the images have any.

        Raises:
            ValueError: if counts are no numbers of objects of tagged classes.
        """
        counts = [(x, x.counts) for x in tagged.images if x.counts is not None]
        wrong = [
            one.name
            for one, count in counts
            if count.shape != one.tags.shape
            or not (count >= 0).all()
            or (count[~one.tags] > 0).any()
        ]
        if wrong:
            raise ValueError(
                "expected a count of at least 0 for each class, and 0 for classes that "
                f"are not tagged; {len(wrong)} photos have others: {few(wrong)}"
            )
        return self.consuming(Supervision.COUNTS) if counts else self

    def strategy(self, miner: Part | Miner | str) -> Strategy:
        """Return the miner, its sampler, and the assigner that all miners share.

        Raises:
            SettingsError: if the miner looks at evidence, and the head tells none.
        """
        found = strategy(Part.of(miner, "miners"), self.settings)
        _, head = self._given
        if isinstance(found.miner, Evidential) and not isinstance(head, Telling):
            raise SettingsError(
                f"expected a head that tells evidence for the miner "
                f"{type(found.miner).__name__}, such as mask_pool; the head "
                f"{self.settings.head.label} tells none; or take another miner, "
                "such as cim"
            )
        return found

    def sampler(self, miner: Part | Miner | str) -> Part:
        """Return the settings' sampler, or the one that the miner is published with."""
        return self.settings.sampler_of(Part.of(miner, "miners"))

    def bags(self, images: Sequence[TaggedImage]) -> list[Bag]:
        """One bag an image, in order, with the proposals that training sees."""
        return [Bag(image, self.source, self._keys) for image in images]

    def test_bags(self, images: Sequence[TaggedImage]) -> list[Bag]:
        """One bag an image, in order, with the proposals that prediction sees."""
        return [Bag(image, self.test_source, self._keys) for image in images]

    def inputs(
        self,
        bags: Sequence[Bag],
        monitor: Monitor | None = None,
        strategy: Strategy | None = None,
    ) -> dict[str, str]:
        """Read every photo, and return digests of all that is learned from.

        With a ``strategy``, the code of each part that is a third party's is named too.

        Raises:
            ValueError: if photos cannot be read; names all of them.
        """
        return {
            "photos": in_short(keys_of(bags, monitor)),
            "tags": digest(*(bag.labels for bag in bags)),
            "proposals": digest(*(self.source.origin(bag.key) for bag in bags)),
            **self._test_proposals(bags),
            "backbone": self.weights,
            **({} if strategy is None else self._code(strategy)),
        }

    def _test_proposals(self, bags: Sequence[Bag]) -> dict[str, str]:
        if self.settings.test_source is None:
            return {}
        origins = (self.test_source.origin(bag.key) for bag in bags)
        return {"proposals of test_source": digest(*origins)}

    @property
    def weights(self) -> str:
        """A digest of the backbone's weights, as they come."""
        return str(self.frozen.made_by["weights"])

    def _code(self, strategy: Strategy) -> dict[str, str]:
        """Return digests of a third party's code, and of weights, part by part."""
        backbone, head = self._given
        parts = {
            "backbone": backbone,
            "head": head,
            "cues": self.settings.build("cues"),
            "miner": strategy.miner,
            "sampler": strategy.sampler,
            "assigner": strategy.assigner,
        }
        found = {kind: plugins.identity(part) for kind, part in parts.items()}
        told = {
            f"code of the {kind}": digest(one)
            for kind, one in found.items()
            if "code" in one
        }
        values = self.settings.resolved()
        # Those of backbone and source are told in any case, the miner's by its name.
        for kind in ("head", "cues", "sampler", "assigner"):
            given = (values[kind] or {}).get("settings", {}).get(plugins.WEIGHTS)
            if given:
                weights = found[kind].get(plugins.WEIGHTS, given)
                told[f"weights of the {kind}"] = digest(weights)
        return told

    def rehearse(self, model: Model, strategy: Strategy) -> None:
        """Call head, miner, sampler, assigner and losses once, on a drawn example.

        Raises:
            PartError: if one of them fails, or gives what its contract does not allow.
        """
        masks = torch.zeros(4, 32, 32, dtype=torch.bool)
        for i, mask in enumerate(masks):
            mask[8 * i :, : 32 - 4 * i] = True
        proposals = from_masks(masks, source="rehearsal")
        maps = torch.rand(
            self.frozen.live.backbone.channels, 4, 4, generator=generator(0, "map")
        )
        head: Any = model.head
        tags = torch.ones(model.classes, dtype=torch.bool, device=self.device)
        clusters = torch.zeros(len(proposals), model.classes + 1, dtype=torch.long)
        clusters[0, 1] = 1
        try:
            with torch.no_grad(), seeded(0):
                laid = lay(
                    maps.to(self.device),
                    lambda: np.zeros((32, 32, 3), dtype=np.uint8),
                    proposals,
                    Scale(32),
                    head,
                )
                pooled = head.pool(laid)
                scores = model(pooled)
                if not scores.finite():
                    raise PartError(
                        f"the head {type(head).__name__} gives numbers that are not "
                        "finite"
                    )
                supervise(
                    scores,
                    overlaps(proposals).to(self.device),
                    tags,
                    clusters.to(self.device),
                    strategy,
                    generator(0, "rehearsal"),
                    evidence=model.evidence(pooled, strategy.miner),
                    done=1.0,
                )
        except PartError:
            raise
        except Exception as error:
            parts = (head, strategy.miner, strategy.sampler, strategy.assigner)
            raise PartError(
                f"{', '.join(type(one).__name__ for one in parts)} fail on an example "
                f"of {len(proposals)} proposals: {type(error).__name__}: {error}"
            ) from error

    def prepare(
        self, bags: Sequence[Bag], tick: Callable[[Bag], None] = lambda bag: None
    ) -> None:
        """Makes proposals and frozen features ahead, so that runs find them kept.

        Raises:
            ValueError: if they are not finite; names the photo.
        """
        for bag in bags:
            proposals = bag.proposals
            learned, shown = bag.source is self.source, bag.source is self.test_source
            if not proposals.objectness.isfinite().all():
                named = self.settings.source if learned else self.settings.test_source
                raise ValueError(
                    f"{bag.image.name}: expected finite objectness of the source "
                    f"{named and named.label}, got NaN or infinity"
                )
            if len(proposals) and self.settings.freeze:
                views = self.train_views if learned else []
                for scale in {*views, *(self.test_views if shown else ())}:
                    self.frozen(bag, scale)
            tick(bag)

    def cues(self, bags: Sequence[Bag], seed: int) -> Cues:
        """Cues learned from the bags' tags on frozen features, kept in the cache.

        Labels that an earlier run left there are read; the source is trained when the
        first one is missing.

        Raises:
            ValueError: if no bag has tags, or the source goes by points and none has
                any.
        """
        source = self.settings.build("cues")
        scale = self.train_views[0]
        tagged = [bag for bag in bags if bag.tags.any()]
        if not tagged:
            raise ValueError(f"expected images with tags, none of {len(bags)} has any")
        if Supervision.POINTS in source.ledger and not any(
            bag.image.points is not None for bag in tagged
        ):
            raise ValueError(
                f"expected images with points for the cues {self.settings.cues.label}, "
                f"none of {len(tagged)} has any; give them as --data NAME:points=FILE"
            )

        learned = [*tagged, *(bag for bag in bags if bag.image.background)]

        def learn() -> CueLabeller | None:
            labeller: CueLabeller | None = source.fit(
                Maps(self.frozen, learned, scale),
                torch.stack([bag.tags for bag in learned]),
                generator(seed, "cues"),
            )
            return labeller

        values = self.settings.resolved()
        kept = Cache.keyed(
            self.cache / "cues",
            {
                **{key: values[key] for key in ("cues", "backbone", "source")},
                "scale": scale.name,
                "seed": seed,
                "images": digest(*(label_key(bag) for bag in learned)),
            },
            {**self.frozen.made_by, "cues": plugins.identity(source)},
        )
        return Cues(Learned(learn), self.frozen, scale, kept, self.shared)

    def model(self, classes: int, seed: int) -> Model:
        """A fresh model; its weights depend on the seed alone."""
        backbone: nn.Module | None = None if self.settings.freeze else self._backbone()
        channels = self.frozen.live.backbone.channels
        with seeded(seed):
            model = Model(
                head=self._head(channels),
                classes=classes,
                branches=self.settings.branches,
                integrity_prior=self.settings.integrity_prior,
                integrity=self.settings.integrity,
                backbone=backbone,
            )
            if self.settings.class_map:
                model.class_map = ClassMap(channels, classes)
        return model.to(self.device)

    def features(self, model: Model) -> FrozenFeatures | LiveFeatures:
        """Return the features that ``model`` reads, pooled or live."""
        if model.backbone is None:
            return self.frozen
        backbone: Any = model.backbone
        return LiveFeatures(backbone, model.head)

    def train(
        self,
        tagged: Tagged,
        miner: Part | Miner | str,
        seed: int,
        *,
        bags: Sequence[Bag] | None = None,
        cues: Cues | None = None,
        checkpoint: Path | None = None,
        steps: int | None = None,
        observer: Observer | None = None,
        teacher: Teacher | None = None,
        tick: Callable[[Progress], None] = lambda progress: None,
        monitor: Monitor | None = None,
        ranks: Ranks = ALONE,
    ) -> tuple[Model, Progress]:
        """A model trained on tagged images with ``miner``; the rest as in ``fit``.

        Of several rounds, ``observer`` and ``tick`` follow the last, which has
        ``checkpoint``; those before it have their own beside it. ``steps`` counts the
        images of all. ``monitor`` is told of earlier rounds, and how far the class map
        is, where there is one. A teacher makes it one round.

        Raises:
            ValueError: as ``fit``, and if the ledger lacks labels that a teacher
                consumes.
        """
        if teacher is not None and not teacher.ledger <= self.ledger:
            raise ValueError(
                "expected a pipeline whose ledger names what the teacher consumes, "
                f"{', '.join(sorted(teacher.ledger))}; got "
                f"{', '.join(sorted(self.ledger))}: call consuming first"
            )
        bags = bags or self.bags(tagged.images)
        monitor = monitor or Silent()
        images = self.settings.schedule.images(tagged.epoch)
        planned = 1 if teacher else self.settings.rounds
        rounds, steps = (1, steps) if teacher else self.rounds(tagged.epoch, steps)

        def kept(number: int) -> Path | None:
            if checkpoint is None or number == planned:
                return checkpoint
            return checkpoint.with_stem(f"round-{number}")

        learn = partial(
            self._round,
            tagged,
            miner,
            seed,
            bags=bags,
            cues=cues,
            ranks=ranks,
            monitor=monitor,
        )
        for number in range(1, rounds):
            model, _ = learn(
                checkpoint=kept(number),
                teacher=teacher,
                tick=counting(monitor, f"round {number} of {rounds}", images),
            )
            teacher = FoundTeacher(partial(self._found, model), self.ledger)
        return learn(
            checkpoint=kept(rounds),
            steps=steps,
            observer=observer,
            teacher=teacher,
            tick=tick,
        )

    def rounds(self, images: int, steps: int | None) -> tuple[int, int | None]:
        """Return the number of rounds, and the images that the last one learns from.

        ``steps`` is the number for all rounds; with None, the last is whole, as None.
        """
        rounds, whole = self.settings.rounds, self.settings.schedule.images(images)
        if steps is None:
            return rounds, None
        rounds = min(rounds, math.ceil(steps / whole))
        return rounds, steps - whole * (rounds - 1)

    def _round(
        self,
        tagged: Tagged,
        miner: Part | Miner | str,
        seed: int,
        *,
        bags: Sequence[Bag],
        cues: Cues | None,
        teacher: Teacher | None,
        monitor: Monitor,
        **others: Any,
    ) -> tuple[Model, Progress]:
        """Train once, from fresh weights; the rest as in ``train``.

        The class map learns what the model finds, or a teacher tells, on the photos.
        """
        strategy = self.strategy(miner)
        model = self.model(len(tagged.classes), seed)
        features = self.features(model)
        background = [bag for bag in bags if bag.image.background]
        taught = [bag for bag in bags if not bag.image.background]
        progress = fit(
            model,
            taught,
            features,
            # A teacher tells in place of cues.
            (lambda bag: None) if teacher else cues or self.cues(bags, seed),
            strategy,
            self.settings.schedule,
            seed=seed,
            scales=self.train_views,
            shared=self.shared,
            background=background,
            teacher=teacher,
            **others,
        )
        if model.class_map is None:
            return model, progress
        steps, scale = min(progress.step, map_steps(len(taught))), self.train_views[0]
        if background:
            steps += min(steps, steps * len(background) // len(taught))
            some = torch.randperm(len(background), generator=generator(seed, "none"))
            background = [background[i] for i in some[: _MOST * len(taught)].tolist()]

        def found(bag: Bag) -> PseudoInstances:
            if bag.image.background:
                none = torch.zeros(0, dtype=torch.long)
                return PseudoInstances(none, none, none.float())
            [seen] = scores(model, bag, features, [scale])
            nms = self.settings.selection.nms
            return near_best(seen.final(), bag.proposals, bag.tags, nms)

        learned = [bag for bag in taught if bag.tags.any()] + background
        model.class_map.learn(
            [bag for bag in learned if len(bag.proposals)],
            partial(_map, features, scale=scale),
            teacher or found,
            steps=steps,
            seed=seed,
            tick=monitor.start("class map", steps),
        )
        check_finite(model.class_map.state_dict(), "the class map that was learned")
        return model, progress

    def _found(self, model: Model, bag: Bag) -> PseudoInstances:
        """Return a training photo's best instances of its tags, as predictions rank."""
        features, view = self.features(model), self.train_views[:1]
        views = scores(model, bag, features, view)
        maps = partial(_map, features)
        seen = look(model, bag, view, bag.tags, maps)
        found = rated(views, bag.proposals, bag.tags, seen)
        return near_best(found, bag.proposals, bag.tags, self.settings.selection.nms)

    def predict(
        self,
        model: Model,
        bag: Bag,
        allowed: Bool[Tensor, " C"] | None = None,
        tick: Callable[[str], None] = lambda done: None,
    ) -> Predictions:
        """The instances on one image, scores averaged over the test views.

        The bag is one of ``test_bags``: it has the proposals that are chosen among.
        With ``allowed``, they are of these classes alone. Masks found in the frame of a
        large photo are enlarged to the photo's size in the end. ``tick`` is called with
        what was done.
        """
        features = self.features(model)

        def told(bag: Bag, scale: Scale) -> Tensor | View:
            found = features(bag, scale)
            tick(f"features {scale.name}")
            return found

        _ = bag.proposals
        tick("proposals")
        found = predict(
            model,
            bag,
            told,
            self.test_views,
            self.settings.selection,
            self.ledger,
            allowed,
            partial(_map, features),
        ).enlarged(bag.size)
        tick("masks")
        return found

    @property
    def train_views(self) -> list[Scale]:
        """The scales of training; one is drawn for every image."""
        return self._views(self.settings.train_sides, self.settings.train_flips)

    @property
    def test_views(self) -> list[Scale]:
        """The scales of prediction; every image is shown at each."""
        return self._views(self.settings.test_sides, self.settings.test_flips)

    def _views(self, sides: Sequence[int], flips: bool) -> list[Scale]:
        settings = self.settings
        return scales(
            sides, flips=flips, resize=settings.resize, limit=settings.max_side
        )

    def _backbone(self) -> Any:
        return self.settings.build("backbone").to(self.device)

    def _head(self, channels: int) -> Any:
        return self.settings.build("head", channels=channels).to(self.device)


@torch.no_grad()
def _map(features: FrozenFeatures | LiveFeatures, bag: Bag, scale: Scale) -> Tensor:
    return features.map(bag, scale)


def strategy(miner: Part, settings: Settings) -> Strategy:
    """A miner, its sampler, and the assigner that all miners share.

    Raises:
        LookupError: if a part is not installed.
        SettingsError: if a setting is unknown or out of range in some branch.
    """
    found = Strategy(
        miner=miner.build("miners"),
        sampler=settings.sampler_of(miner).build("samplers"),
        assigner=settings.build("assigner"),
        by_cluster=settings.by_cluster,
        cue_localization=settings.cue_localization,
        anti_noise=settings.anti_noise,
        pointed=Supervision.POINTS in settings.build("cues").ledger,
    )
    for branch in range(settings.branches):
        try:
            found.at(branch)
        except ValueError as error:
            raise SettingsError(
                f"{error}, in branch {branch} of {settings.branches}"
            ) from None
    return found
