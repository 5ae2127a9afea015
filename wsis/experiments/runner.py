"""One data set and the pipelines of all variants: the work of a bench or a tuning."""

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch

from wsis._support.memory import peak_megabytes, reset_peak
from wsis._support.problems import Checks
from wsis._support.progress import Monitor, Silent
from wsis._support.provenance import commit, versions
from wsis.contracts import Annotated, DataSource, GroundTruth, Supervision, Tagged
from wsis.cues.balance import hint
from wsis.cues.kept import Cues
from wsis.data.halves import for_classes, tell_repeated, tell_shared, tell_untagged
from wsis.data.splits import Folds, in_turn
from wsis.evaluation import Anatomy, Evaluation, MaskTeacher, training_truths
from wsis.evaluation.matches import Matches, Table, tabulate
from wsis.experiments import _ceiling, _free
from wsis.experiments._beside import kept_names
from wsis.experiments._provenance import describe, ledger, level, of_truths
from wsis.experiments.records import RunRecord, file_name
from wsis.experiments.variants import Variant
from wsis.geometry.predictions import Predictions
from wsis.proposals.bags import Bag
from wsis.proposals.store import KeptSource
from wsis.report import METRICS
from wsis.report.shown import MINED, Shown, mine, spread
from wsis.runs.pipeline import Pipeline
from wsis.runs.settings import Settings
from wsis.training.checkpoints import Progress
from wsis.training.supervision import BranchStep
from wsis.training.trackers import Trackers, Training, flat, following, trackers

_OF_FEATURES = (
    *("source", "test_source", "backbone", "head", "freeze"),
    *("train_sides", "train_flips", "test_sides", "test_flips"),
    *("resize", "max_side"),
)
_OF_CUES = (
    *("source", "backbone", "head", "cues"),
    *("train_sides", "resize", "max_side"),
)


@runtime_checkable
class Watcher(Protocol):
    """Sees what every branch is taught in one run, from outside; changes nothing."""

    def __call__(self, step: BranchStep) -> None:
        """Take account of what one branch is taught on one image."""
        ...

    def results(self) -> list[dict[str, Any]]:
        """Return what it saw, JSON-like."""
        ...


Watch = Callable[[DataSource, KeptSource], Watcher]
"""Makes the watcher of a run, of its data and its proposals; may read masks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that a process is given to do its share of the work; can be pickled.

    Args:
        data: the data set.
        variants: what is compared.
        settings: that the variants share.
        cache: folder for proposals, frozen features and cues.
        device: where models are.
        watch: makes what looks on from outside training, for each run.
        folds: how the data set is split; None takes its own halves.
        ceiling: whether there are runs that true masks teach; None as in ``names``.
        proposal_free: whether there are runs that group cells without proposals.
        folder: of the bench, or of the tuning.
        tracker: is told of every run.
    """

    data: DataSource
    variants: Sequence[Variant]
    settings: Settings
    cache: Path
    device: torch.device
    watch: Watch | None = None
    folds: Folds | None = None
    ceiling: bool | None = False
    proposal_free: bool = False
    folder: Path | None = None
    tracker: Trackers = ()

    def pipelines(self) -> dict[str, Pipeline]:
        """Return each variant's pipeline; variants of the same settings share one.

        Raises:
            LookupError: if a part is not installed.
            ValueError: if a setting is unknown or out of range.
        """
        built: dict[str, Pipeline] = {}

        def of(variant: Variant) -> Pipeline:
            settings = variant.settings(self.settings)
            key = _key(settings.resolved())
            if key not in built:
                built[key] = Pipeline(settings, self.cache, self.device)
            built[key].strategy(variant.miner)
            return built[key]

        checks = Checks()
        found = {one.label: checks.of(of, one) for one in self.variants}
        checks.tell()
        return {label: one for label, one in found.items() if one is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A finished run.

    ``shown`` is what reports show beside its predictions; ``notes`` are warnings.
    """

    run: RunRecord
    predictions: list[Predictions]
    matches: Matches
    shown: Shown | None = None
    notes: Sequence[str] = ()


def attempt(make: Callable[[], None]) -> Exception | None:
    """Make a photo's proposals and features; return what was in the way, if anything.

    Problems of all photos are told together.
    """
    try:
        make()
    except (ValueError, OSError) as error:
        return error
    return None


class Work:
    """Every part of a bench, as methods that a process calls.

    ``train`` and ``val`` are the data set's halves; with folds both are all images,
    those that the first fold holds out first.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan, data = plan, plan.data
        self.pipelines = plan.pipelines()
        self.folds = [] if plan.folds is None else plan.folds.of(data)
        if plan.folds is None:
            val = data.val()
            if val is None:
                raise ValueError(
                    "expected a data set with masks of validation photos to compare "
                    f"by; {type(data).__name__} has none"
                )
            self.train = data.train()
            self.val = for_classes(val, self.train.classes, "the training half")
        else:
            self.val = in_turn(self.folds)
            self.train = self.val.tagged
        tell_untagged(self.train)
        told = {id(one): one.trained_on(self.train) for one in self.pipelines.values()}
        self.pipelines = {x: told[id(one)] for x, one in self.pipelines.items()}
        self.ceiling_of = _ceiling.names(
            self.pipelines, plan.ceiling, data, folds=bool(self.folds)
        )
        chosen = self.pipelines if plan.proposal_free else {}
        self.frees = {label: _free.Free(one) for label, one in chosen.items()}
        self.free_of = kept_names(
            _free.ROW, {label: one.identity() for label, one in self.frees.items()}
        )
        # Also the first variant of each row beside them, by the name it is kept by.
        self._variants = {
            of.get(one.label, one.label): one
            for one in reversed(plan.variants)
            for of in ({}, self.ceiling_of, self.free_of)
        }
        self._taught: dict[str, Pipeline] = {}
        self.in_both = 0
        self.fingerprint = describe(
            data, self.train, self.val, both=plan.folds is not None
        )
        if plan.folds is not None:
            self.fingerprint["folds"] = plan.folds.described(self.folds)
        images = self.val.tagged.images
        self._looked_into = {images[i].id for i in spread(MINED, len(images))}
        self._cues: dict[tuple[int, int | None, str], Cues] = {}
        self._bags: dict[str, tuple[list[Bag], list[Bag]]] = {}

    def bags(self, label: str, fold: int | None = None) -> tuple[list[Bag], list[Bag]]:
        """Return a variant's training and validation bags, those of a fold."""
        learned, judged = self._made(label)
        if not self.folds:
            return learned, judged
        train, val = self._halves(fold)
        taught, shown = ({bag.image.id: bag for bag in x} for x in (learned, judged))
        return (
            [taught[image.id] for image in train.images],
            [shown[image.id] for image in val.tagged.images],
        )

    def _made(self, label: str) -> tuple[list[Bag], list[Bag]]:
        """Return a variant's bags to learn from and to judge.

        With folds, both are of all images; the same bags, if they have one source.
        """
        key = _key(self._resolved(label, ("source", "test_source")))
        if key not in self._bags:
            pipeline, val = self.pipelines[label], self.val.tagged.images
            train = val if self.folds else self.train.images
            learned = judged = pipeline.bags(train)
            if not self.folds or pipeline.settings.test_source is not None:
                judged = pipeline.test_bags(val)
            self._bags[key] = learned, judged
        return self._bags[key]

    def chores(self) -> list[tuple[str, int]]:
        """Return the arguments of ``prepare``: a variant and an image's place."""
        needed = {
            _key(self._resolved(variant.label, _OF_FEATURES)): variant.label
            for variant in reversed(self.plan.variants)
        }
        return [
            (label, i)
            for label in reversed(needed.values())
            for i in range(len(self._prepared(label)))
        ]

    def photos(self, label: str) -> list[Bag]:
        """Return a variant's bags of all images, each once."""
        learned, judged = self._made(label)
        return [*learned, *([] if self.folds else judged)]

    def _prepared(self, label: str) -> list[Bag]:
        """Return a variant's bags of all images, each once for each source."""
        learned, judged = self._made(label)
        return list(dict.fromkeys([*learned, *judged]))

    def prepare(
        self, label: str, index: int, monitor: Monitor | None
    ) -> tuple[str, Exception | None]:
        """Make one image's proposals and features; return its name and any problem."""
        del monitor
        bag = self._prepared(label)[index]
        return bag.image.name, attempt(lambda: self.pipelines[label].prepare([bag]))

    def seen(self, fold: int | None) -> Annotated:
        """Return the training images with their objects, for the ceiling alone.

        Raises:
            ValueError: if the data set does not tell them.
        """
        if fold is not None:
            return self.folds[fold].seen
        if self.folds:
            return self.val
        return Annotated(tagged=self.train, truths=training_truths(self.plan.data))

    def inputs(self) -> dict[str, dict[str, str]]:
        """Read every photo; return digests of what figures are made from, by label.

        Those of rows beside the variants are by their names.

        Raises:
            ValueError: if photos cannot be read; names all of them.
        """
        variants, truths = self.plan.variants, of_truths(self.val.truths)
        bags, found = self.photos(variants[0].label), {}
        for one in variants:
            pipeline = self.pipelines[one.label]
            made = pipeline.inputs(bags, None, pipeline.strategy(one.miner))
            found[one.label] = {**made, "truths": truths}
        if self.ceiling_of:
            taught = of_truths(self.seen(None).truths)
        for label, name in reversed(self.ceiling_of.items()):
            found[name] = {
                **_ceiling.teaching(found[label]),
                "training objects": taught,
            }
        for label, name in reversed(self.free_of.items()):
            found[name] = _free.read(found[label])
        return found

    def compare_photos(self) -> None:
        """Warn of photos that occur twice, once ``inputs`` has read them.

        ``in_both`` then counts the validation photos that are also trained on.
        """
        digests = [bag.key for bag in self.photos(self.plan.variants[0].label)]
        count, images = len(self.train.images), self.val.tagged.images
        tell_repeated(self.train.images, digests[:count])
        if self.folds:
            of = [k for k, fold in enumerate(self.folds) for _ in fold.numbers]
            several = Counter(key for key, _ in {*zip(digests, of, strict=True)})
            seen = [key for key, folds in several.items() if folds > 1]
            self.in_both = tell_shared(images, digests, seen, "held-out")
        else:
            self.in_both = tell_shared(images, digests[count:], digests[:count])

    def hints(self, seed: int, fold: int | None, monitor: Monitor | None) -> list[str]:
        """Return what will keep variants from learning, before they train."""
        del monitor
        advised: dict[str, list[str]] = {}
        for label, pipeline in self.pipelines.items():
            if pipeline.settings.anti_noise:
                bags, _ = self.bags(label, fold)
                advice = hint(self._cues_of(label, seed, fold), bags)
                advised.setdefault(advice, []).append(label)
        return [
            f"hint for {', '.join(labels)}: {advice}"
            for advice, labels in advised.items()
            if advice
        ]

    def run(
        self,
        label: str,
        seed: int,
        fold: int | None,
        show: bool,
        monitor: Monitor | None,
    ) -> Done:
        """Train, predict and evaluate; ``show`` keeps what reports show besides."""
        variant, pipeline = self._variants[label], self.pipelines[label]
        cues = self._cues_of(label, seed, fold)
        data = self.plan.data if fold is None else self.folds[fold]
        watch = self.plan.watch
        watcher = watch(data, pipeline.source) if watch else None
        # Bags that are there know their photos' digests.
        training, validation = self.bags(label, fold)
        learn = partial(
            pipeline.train,
            miner=variant.miner,
            seed=seed,
            bags=training,
            cues=cues,
            observer=watcher,
            monitor=monitor,
        )
        model, anatomy, done = self._measured(
            pipeline, learn, label, seed, fold, monitor
        )
        run = replace(
            done.run,
            miner_settings={
                **variant.miner.resolved("miners"),
                "sampler": pipeline.sampler(variant.miner).label,
            },
            overrides=list(variant.overrides),
            trace=watcher.results() if watcher else None,
        )
        done = replace(done, run=run)
        if not show:
            return done
        strategy = pipeline.strategy(variant.miner)
        mined = {
            bag.image.id: mine(pipeline, model, strategy, bag, cues)
            for bag in validation
            if bag.image.id in self._looked_into
        }
        return replace(done, shown=Shown.of(anatomy, mined))

    def teach(
        self, name: str, seed: int, fold: int | None, monitor: Monitor | None
    ) -> Done:
        """Train a ceiling with true masks; else do as ``run``."""
        variant = self._variants[name]
        if name not in self._taught:
            pipeline = self.pipelines[variant.label]
            self._taught[name] = pipeline.consuming(Supervision.MASKS)
        taught, teacher = self._taught[name], MaskTeacher(self.seen(fold))
        bags, _ = self.bags(variant.label, fold)
        learn = partial(
            taught.train, miner=variant.miner, seed=seed, bags=bags, teacher=teacher
        )
        _, _, done = self._measured(
            taught, learn, name, seed, fold, monitor, title=_ceiling.ROW
        )
        # The teacher stands in for the cues, whatever labels they would consume.
        consumed = {k: v for k, v in done.run.supervision.items() if k != "cues"}
        return replace(done, run=replace(done.run, supervision=consumed))

    def group(
        self, name: str, seed: int, fold: int | None, monitor: Monitor | None
    ) -> Done:
        """Train without proposals; else do as ``run``."""
        free = self.frees[self._variants[name].label]
        learn = partial(free.train, seed=seed)
        _, _, done = self._measured(
            free, learn, name, seed, fold, monitor, title=_free.ROW
        )
        return done

    def _measured(
        self,
        maker: Pipeline | _free.Free,
        learn: Callable[..., tuple[Any, Progress]],
        name: str,
        seed: int,
        fold: int | None,
        monitor: Monitor | None,
        *,
        title: str | None = None,
    ) -> tuple[Any, Anatomy | None, Done]:
        """Train, predict and evaluate; the record lacks what only miners have.

        Args:
            maker: predicts, and states the labels consumed.
            learn: trains on tagged images.
            name: of the variant, or that the run of another row is kept by.
            seed: for progress and the record.
            fold: the part held out.
            monitor: is told of progress.
            title: the name in progress, where it is another.
        """
        title, monitor = f"{title or name}, seed {seed}", monitor or Silent()
        if fold is not None:
            title += f", fold {fold}"
        train, val = self._halves(fold)
        _, validation = self.bags(self._variants[name].label, fold)
        notes: list[str] = []
        told = self._told(maker, name, title, seed, fold)
        with following(trackers(self.plan.tracker), told, notes.append) as curves:
            reset_peak(maker.device)
            count = train.epoch
            if isinstance(maker, Pipeline):
                total = maker.settings.schedule.images(count)
                follow = curves.of(maker.settings.schedule, count, total)
            else:  # tells no losses before it has learned
                total, follow = maker.method.images(count), lambda progress: None
            step = monitor.start(f"{title}: train", total)

            def tick(progress: Progress) -> None:
                step("")
                follow(progress)

            began = time.perf_counter()
            model, progress = learn(train, tick=tick)
            trained = time.perf_counter()
            step = monitor.start(f"{title}: predict", len(validation))
            predictions = []
            for bag in validation:
                predictions.append(maker.predict(model, bag))
                step(bag.image.name)
            predicted = time.perf_counter()
            truths = list(val.truths)
            table = tabulate(predictions, truths, train.classes, across=fold is None)
            evaluation = Evaluation.of(table)
            anatomy = None
            if fold is None:  # else all folds of a seed are dissected together
                anatomy = _dissected(table, truths, validation)
            consumed = ledger(maker.ledgers)
            run = RunRecord(
                miner=name,
                miner_settings={},
                seed=seed,
                metrics={name: evaluation.metrics[name] for name in METRICS},
                per_class=evaluation.per_class,
                train_seconds=trained - began,
                predict_seconds=predicted - trained,
                peak_memory_mb=peak_megabytes(maker.device),
                skipped=progress.skipped,
                losses=progress.losses,
                supervision=consumed,
                level=level(set().union(*consumed.values())),
                device=str(maker.device),
                versions=versions(),
                commit=commit(),
                anatomy=None if anatomy is None else anatomy.results(),
                fold=fold,
            )
            figures = {f"val/{name}": one for name, one in run.metrics.items()}
            curves.tell(lambda one: one.log(total, figures))
        matches = Matches.of(table)
        done = Done(run=run, predictions=predictions, matches=matches, notes=notes)
        return model, anatomy, done

    def _told(
        self,
        maker: Pipeline | _free.Free,
        name: str,
        title: str,
        seed: int,
        fold: int | None,
    ) -> Training:
        """Return what trackers are told of a run at first."""
        settings = (
            maker.settings.resolved()
            if isinstance(maker, Pipeline)
            else maker.identity()
        )
        consumed = sorted(frozenset().union(*maker.ledgers.values()))
        about = {
            **{"model": name, "seed": seed, "fold": fold, "data": self.train.name},
            "labels consumed": ", ".join(consumed),
        }
        return Training(
            name=title,
            settings=flat({**about, **settings}),
            folder=self.plan.folder,
            part=file_name(name, seed, fold),
        )

    def dissect(
        self,
        label: str,
        seed: int,
        predictions: list[Predictions],
        monitor: Monitor | None,
    ) -> tuple[str, int, Anatomy]:
        """Return label and seed with the errors of predictions on ``val``."""
        del monitor
        _, bags = self.bags(label)
        truths = list(self.val.truths)
        table = tabulate(predictions, truths, self.train.classes, across=True)
        return label, seed, _dissected(table, truths, bags)

    def description(self) -> dict[str, Any]:
        """Return the data set in figures; with folds all images are in both halves."""
        found = {
            "name": self.train.name,
            "train_images": len(self.train.images),
            "val_images": len(self.val.tagged.images),
            "in_both": self.in_both,
            "classes": list(self.train.classes),
        }
        return found | ({"folds": len(self.folds)} if self.folds else {})

    def _halves(self, fold: int | None) -> tuple[Tagged, Annotated]:
        if fold is None:
            return self.train, self.val
        return self.folds[fold].train(), self.folds[fold].val()

    def _cues_of(self, label: str, seed: int, fold: int | None) -> Cues:
        now = seed, fold
        self._cues = {key: kept for key, kept in self._cues.items() if key[:2] == now}
        key = seed, fold, _key(self._resolved(label, _OF_CUES))
        if key not in self._cues:
            bags, _ = self.bags(label, fold)
            self._cues[key] = self.pipelines[label].cues(bags, seed)
        return self._cues[key]

    def _resolved(self, label: str, fields: tuple[str, ...]) -> dict[str, Any]:
        resolved = self.pipelines[label].settings.resolved()
        return {name: resolved[name] for name in fields}


def _key(values: dict[str, Any]) -> str:
    return json.dumps(values, sort_keys=True, default=str)


def _dissected(table: Table, truths: list[GroundTruth], bags: list[Bag]) -> Anatomy:
    return Anatomy.of(table, truths, (bag.proposals for bag in bags))
