"""One image of 20 pixels in a row; proposals and objects are stretches of it."""

import ast
import json

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from tests.builders import strips
from tests.drawn import Masked, Squares, settings
from tests.evaluation.drawing import truth
from tests.package import files_with
from wsis.contracts import (
    BranchScores,
    Proposals,
    PseudoInstances,
    TaggedImage,
    Targets,
    Traceable,
)
from wsis.data.scenes.drawn import Scenes
from wsis.evaluation import Trace
from wsis.proposals.bags import Bag
from wsis.runs.pipeline import Pipeline
from wsis.runs.settings import Part
from wsis.training.supervision import BranchStep

SPANS = ((0, 10), (0, 4), (0, 20), (12, 20), (5, 9))
"""About the cat, a part of it, whole-plus, the dog's mask, another part."""


class Drawn(Bag):
    """Needs no cache."""

    @property
    def proposals(self) -> Proposals:
        return strips(*SPANS, width=20)


def bag():
    image = TaggedImage(
        id=1,
        name="",
        tags=torch.tensor([True, True]),
        load=lambda: np.zeros((1, 20, 3), np.uint8),
    )
    made = object.__new__(Drawn)
    object.__setattr__(made, "image", image)
    return made


def watching(*objects, ignore=()):
    return Trace([bag()], [truth(*objects, ignore=ignore)])


def step(pseudo=(), label=(-1,) * 5, integrity=(), epoch=0, branch=0, image=1):
    """``pseudo`` are (proposal, class, weight); ``integrity`` of class 1."""
    localization = torch.zeros(5, 3)
    localization[:, 1] = torch.tensor(integrity or [0.0] * 5)
    scores = BranchScores(torch.zeros(5, 3), localization)
    zeros = torch.zeros(5)
    return BranchStep(
        branch,
        scores,
        PseudoInstances(
            torch.tensor([i for i, _, _ in pseudo], dtype=torch.long),
            torch.tensor([c for _, c, _ in pseudo], dtype=torch.long),
            torch.tensor([w for _, _, w in pseudo], dtype=torch.float),
        ),
        Targets(torch.tensor(label), zeros, zeros, torch.full((5,), -1)),
        scores,
        image,
        epoch,
    )


def test_pseudo_instances_by_kind():
    trace = watching((1, 0, 9), (2, 12, 20))
    trace(
        step(
            pseudo=[
                (0, 1, 0.2),  # right
                (1, 1, 0.9),  # a part of the cat
                (2, 1, 0.1),  # merged: contains the dog too
                (3, 1, 0.1),  # the dog's mask
                (3, 2, 0.4),  # right
            ]
        )
    )

    [row] = trace.results()

    assert row["pseudo"] == 5
    assert row["precision"] == pytest.approx(40)
    assert row["part"] == row["whole-plus"] == row["class"] == pytest.approx(20)
    assert row["background"] == row["shifted"] == 0
    # IoU with the object of their class, the cat having 9 pixels.
    assert row["iou"] == pytest.approx(100 * (9 / 10 + 4 / 9 + 9 / 20 + 0 + 1) / 5)
    # The heaviest cat is the part, 4 of 9 pixels; the dog's has all 8.
    assert row["area"] == pytest.approx((4 / 9) ** 0.5)


def test_targets_are_right_if_masks_agree():
    trace = watching((1, 0, 10), (2, 15, 20))
    # Right: the cat. Wrong: its part as a cat, the dog (IoU 5/8) as background.
    # Right: whole-plus (IoU 10/20 with the cat: it is a cat). Ignored: the last.
    trace(step(label=(1, 1, 1, 0, -1)))

    [row] = trace.results()

    assert row["targets_right"] == pytest.approx(50)
    assert row["foreground_right"] == pytest.approx(100 * 2 / 3)
    assert row["foreground"] == 3


def test_ignored_objects_excuse():
    trace = watching((1, 0, 10), (2, 12, 20), ignore=(0,))
    trace(step(pseudo=[(0, 1, 1.0), (3, 2, 1.0)], label=(1, -1, -1, 2, 0)))

    [row] = trace.results()

    assert row["pseudo"] == 1
    assert row["precision"] == row["targets_right"] == 100
    assert row["foreground"] == 1


def test_integrity_against_the_true_overlap():
    trace = watching((1, 0, 10))
    said = [1.0, 0.35, 0.95, 0.5, 0.3]
    trace(step(integrity=said))

    [row] = trace.results()

    # The fourth proposal does not touch the cat; true IoU 1, 0.4, 0.5 and 0.4.
    integrity = row["integrity"]
    assert [line["count"] for line in integrity["reliability"]] == [0] * 3 + [2] + [
        0
    ] * 5 + [2]
    assert integrity["reliability"][3] == pytest.approx(
        {"integrity": 32.5, "iou": 40, "count": 2}
    )
    assert integrity["reliability"][9] == pytest.approx(
        {"integrity": 97.5, "iou": 75, "count": 2}
    )
    assert integrity["error"] == pytest.approx((7.5 * 2 + 22.5 * 2) / 4)
    assert integrity["rank_correlation"] == pytest.approx(
        spearmanr([1.0, 0.35, 0.95, 0.3], [1, 0.4, 0.5, 0.4]).statistic
    )


def test_a_branch_without_integrity_has_no_figures_of_it():
    trace = watching((1, 0, 10))
    taught = step(pseudo=[(0, 1, 1.0)], integrity=[0.5] * 5)
    object.__setattr__(taught.taught, "localization", None)

    trace(taught)
    [row] = trace.results()

    assert row["precision"] == 100
    assert [line["count"] for line in row["integrity"]["reliability"]] == [0] * 10
    assert row["integrity"]["error"] is None
    assert row["integrity"]["rank_correlation"] is None


def test_a_row_an_epoch_and_branch_and_nothing_where_nothing_is():
    trace = watching((1, 0, 10))
    trace(step(epoch=1, branch=1, pseudo=[(3, 2, 1.0)]))
    trace(step(epoch=1, branch=0))
    trace(step(epoch=0, branch=2))

    rows = json.loads(json.dumps(trace.results(), allow_nan=False))

    assert [(row["epoch"], row["branch"]) for row in rows] == [(0, 2), (1, 0), (1, 1)]
    assert rows[0]["precision"] is None
    assert rows[0]["area"] is None
    assert rows[0]["integrity"]["rank_correlation"] is None
    assert rows[2]["background"] == 100


def test_an_image_without_objects_makes_everything_background():
    trace = watching()
    trace(step(pseudo=[(0, 1, 1.0)], label=(0, 0, 0, 0, 1)))

    [row] = trace.results()

    assert row["background"] == 100
    assert row["targets_right"] == 80
    assert row["integrity"]["error"] is None


def test_steps_of_other_images_are_refused():
    trace = watching((1, 0, 10))
    for image in (7, None):
        with pytest.raises(ValueError, match="step of one of 1 images, got image"):
            trace(step(image=image))
    with pytest.raises(ValueError, match="objects of each of 1 images, got 0"):
        Trace([bag()], [])


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    return Pipeline(settings(), tmp_path_factory.mktemp("cache"))


def test_watching_changes_nothing(pipeline):
    data = Masked()
    trace = Trace.of(data, pipeline.source)
    runs = [
        pipeline.train(data.train(), Part(name="cim"), 0, observer=observer)[1]
        for observer in (None, trace)
    ]

    assert runs[0].losses == runs[1].losses
    rows = trace.results()
    assert [(row["epoch"], row["branch"]) for row in rows] == [
        (epoch, branch) for epoch in range(2) for branch in range(3)
    ]
    assert all(row["images"] == 6 for row in rows)


def test_data_without_objects_cannot_be_traced(pipeline):
    with pytest.raises(ValueError, match=r"train_truths.*got Squares"):
        Trace.of(Squares(), pipeline.source)


def test_scenes_tell_the_objects_that_their_tags_tell():
    scenes = Scenes(train_images=3, val_images=1)

    assert isinstance(scenes, Traceable)
    for image, objects in zip(
        scenes.train().images, scenes.train_truths(), strict=True
    ):
        assert objects.image_id == image.id
        tagged = image.tags.nonzero().flatten() + 1
        assert objects.label.unique().tolist() == tagged.tolist()


def test_only_benches_may_ask_for_training_masks():
    """Data sets give them; only the trace, folds and what starts it ask for them."""
    assert files_with(_gives) == {
        "contracts.py",
        "data/coco.py",
        "data/points.py",
        "data/scenes/drawn.py",
        "data/splits.py",
        "data/voc.py",
    }
    assert files_with(_asks) == {
        "data/points.py",  # passes on what a data set gives
        "data/splits.py",  # whose tests show that a fold's training sees none
        "evaluation/__init__.py",
        "evaluation/trace.py",
        "experiments/comparing.py",  # starts the trace where it was asked for
    }


def _gives(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name == "train_truths"


def _asks(node: ast.AST) -> bool:
    """Whether a node names the masks, as an attribute, in an import or in a string."""
    if isinstance(node, ast.ImportFrom):
        names = {alias.name for alias in node.names}
        return "Traceable" in names or (
            "Trace" in names and (node.module or "").startswith("wsis.evaluation")
        )
    named = {getattr(node, field, None) for field in ("attr", "id", "value")}
    return "train_truths" in named or (
        "Traceable" in named and not isinstance(node, ast.Constant)
    )
