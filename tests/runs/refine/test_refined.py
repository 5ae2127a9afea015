import json
import re
from dataclasses import replace

import pytest
import torch

from tests.drawn import Squares, settings
from tests.runs.refine.builders import refine_settings
from tests.traps import Trap
from wsis.contracts import Supervision
from wsis.evaluation import evaluate
from wsis.runs._card import MODEL, RunError
from wsis.runs.pipeline import Pipeline
from wsis.runs.refine import (
    PSEUDO_LABELS,
    REFINED,
    Coverage,
    RefinedCard,
    fit_detector,
    load_refined,
    mask_rcnn,
    pseudo_labels,
)
from wsis.runs.run import Card, Run
from wsis.runs.settings import Part

CPU = torch.device("cpu")
TRUST = "trust.top_per_tag=1"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    pipeline = Pipeline(settings(), tmp_path_factory.mktemp("cache"))
    tagged = Squares().train()
    model, _ = pipeline.train(tagged, Part.parse("cim"), 0)
    card = Card.of(pipeline, Part.parse("cim"), 0, tagged, (5, 9))
    return Run(card=card, model=model.eval(), pipeline=pipeline)


def refine(folder, run, data):
    tagged, wanted = data.train(), refine_settings(TRUST, "schedule.epochs=1")
    card = RefinedCard.of(run, wanted, 0, tagged)
    card.begin(folder)
    labels, covered = pseudo_labels(folder, run, tagged, card)
    model = mask_rcnn(wanted, 2, 0)
    progress = fit_detector(model, tagged.images, labels, wanted, seed=0)
    card.trained(progress, labels=covered).save(folder, model)
    return model


@pytest.fixture(scope="module")
def refined(tmp_path_factory, run):
    folder = tmp_path_factory.mktemp("refined") / "out"
    return folder, refine(folder, run, Squares())


def test_a_detector_comes_back_as_it_was(refined):
    folder, model = refined
    loaded = load_refined(folder, CPU)
    image = Squares().val().tagged.images[0]

    assert all(
        torch.equal(value, model.state_dict()[key])
        for key, value in loaded.model.state_dict().items()
    )
    assert not loaded.model.training
    assert loaded.card.name == "cim+"
    assert loaded.card.classes == ("red", "blue")
    assert loaded.card.category_ids == (5, 9)
    assert loaded.card.images == 6
    assert loaded.card.labels.covered == loaded.card.labels.tags == 6
    found = loaded.find(image)
    assert found.size == (48, 64)
    tied = loaded.find(image, torch.tensor([False, True]))
    assert tied.score.equal(found.score[found.label == 2])


def test_the_ledger_of_the_run_travels_on(refined, run):
    folder, _ = refined
    card = load_refined(folder, CPU).card
    boundaries = replace(
        run, card=run.card.model_copy(update={"supervision": ("boundaries", "tags")})
    )
    imagenet = refine_settings("weights=")

    assert card.ledger == {Supervision.TAGS}
    content = json.loads((folder / PSEUDO_LABELS).read_text())
    assert content["info"]["supervision"] == ["tags"]
    assert RefinedCard.of(boundaries, imagenet, 0, Squares().train()).ledger == {
        Supervision.TAGS,
        Supervision.BOUNDARIES,
        Supervision.IMAGENET,
    }


def test_no_mask_is_read_before_evaluation(tmp_path, run, refined):
    """Truths are replaced by a trap: whoever reads one before training ends fails."""
    done = []

    class Guarded(Squares):
        def _truth(self, split, i):
            assert split == "val", "the mask of a training photo was read"
            return super()._truth(split, i)

    data = Guarded()
    val = replace(data.val(), truths=Trap(data.val().truths, done))
    val.truths.armed = True

    model = refine(tmp_path / "out", run, data)

    assert all(
        torch.equal(value, refined[1].state_dict()[key])
        for key, value in model.state_dict().items()
    )
    with pytest.raises(AssertionError, match="before training had ended"):
        val.truths[0]
    done.append(True)
    loaded = load_refined(tmp_path / "out", CPU)
    found = [loaded.find(image) for image in val.tagged.images]
    assert 0 <= evaluate(found, val.truths, ("red", "blue")).metrics["mAP25"] <= 100


def test_pseudo_labels_are_made_once_and_of_the_tags(refined, run):
    folder, _ = refined
    tagged = Squares().train()
    card = RefinedCard.read(folder)
    looked = []
    labels, covered = pseudo_labels(folder, run, tagged, card, looked.append)

    assert looked == []
    assert covered == card.labels
    for one, image in zip(labels, tagged.images, strict=True):
        assert len(one)
        assert bool(image.tags[one.label - 1].all())


def test_a_refinement_begins_once_and_goes_on_as_itself(tmp_path, run):
    folder, tagged = tmp_path / "out", Squares().train()
    card = RefinedCard.of(run, refine_settings(), 0, tagged)
    card.begin(folder)
    (folder / "checkpoint.safetensors").touch()

    card.begin(folder, resume=True)
    with pytest.raises(RunError, match="expected a new folder"):
        card.begin(folder)
    other = RefinedCard.of(run, refine_settings("width=16"), 1, tagged)
    with pytest.raises(RunError, match=r"another refined detector \(seed: 0.*width"):
        other.begin(folder, resume=True)
    with pytest.raises(RunError, match="is not finished; resume it"):
        load_refined(folder, CPU)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (REFINED, None, "it has no refined.json"),
        (REFINED, "{", "refined.json is damaged"),
        (REFINED, "{}", "does not describe a refined detector"),
        (MODEL, None, "it is missing; refine again"),
        (MODEL, "x", "is damaged or of another run"),
    ],
)
def test_a_spoiled_folder_is_named(refined, tmp_path, name, content, message):
    folder, _ = refined
    for file in folder.iterdir():
        (tmp_path / file.name).hardlink_to(file)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_text(content)

    with pytest.raises(RunError, match=message):
        load_refined(tmp_path, CPU)


@pytest.mark.parametrize(
    ("agreed", "of_run", "said"),
    [(3, 3, "3 of 4 training photos, 3 with the run$"), (2, 3, "train it longer")],
)
def test_a_detector_that_agrees_less_than_its_run_says_so(agreed, of_run, said):
    labels = Coverage(
        photos=4, labelled=4, tags=4, covered=4, labels=4, best=0.5, agreed=of_run
    )
    card = RefinedCard.model_construct(labels=labels, agreed=agreed)

    assert re.search(said, card.agreement)
