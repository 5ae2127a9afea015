import json

import pytest
import torch
from safetensors.torch import save_file

from tests.photos import draw_photos
from wsis.contracts import Supervision
from wsis.data.coco import CocoData
from wsis.features.backbones import efficientnet_lite0
from wsis.runs.folder import CARD, MODEL, Card, RunError, begin, load_run, save_run
from wsis.runs.pipeline import Pipeline
from wsis.runs.settings import Part, Settings
from wsis.training.loop import Progress

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    settings = Settings.read(
        ["backbone.weights=random", "source.nodes=20", "test_sides=64"]
    )
    return Pipeline(settings, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    photos = draw_photos(tmp_path_factory.mktemp("photos"), train=2, val=1)
    return CocoData(images=photos.images, train_json=photos.train)


@pytest.fixture
def saved(tmp_path, pipeline, data):
    folder = tmp_path / "run"
    card = Card.of(pipeline, Part.parse("cim"), 0, data.train(), (5, 9))
    begin(folder, card)
    model = pipeline.model(2, 0).eval()
    save_run(folder, model, card, Progress(step=2, losses=[{"total": 1.5}]))
    return folder, model


def test_a_run_comes_back_as_it_was(saved, pipeline, data):
    folder, model = saved
    run = load_run(folder, pipeline.cache, CPU)
    image = data.train().images[0]
    [bag] = pipeline.bags([image])

    ours, theirs = run.predict(image), pipeline.predict(model, bag)

    assert torch.equal(ours.score, theirs.score)
    assert list(ours.masks) == list(theirs.masks)
    assert run.card.classes == ("square", "disc")
    assert run.card.category_ids == (5, 9)
    assert run.card.losses == [{"total": 1.5}]
    assert run.card.settings == pipeline.settings
    assert not run.model.training


def test_a_run_that_trained_its_backbone_needs_no_file_of_weights(tmp_path, data):
    weights, folder = tmp_path / "w.safetensors", tmp_path / "run"
    save_file(efficientnet_lite0("random").net.state_dict(), weights)
    own = (f"backbone.weights={weights}", "freeze=false")
    small = ("source.nodes=20", "test_sides=64")
    pipeline = Pipeline(Settings.read([*own, *small]), tmp_path / "cache")
    card = Card.of(pipeline, Part.parse("cim"), 0, data.train())
    begin(folder, card)
    save_run(folder, pipeline.model(2, 0), card, Progress())
    weights.unlink()

    run = load_run(folder, tmp_path / "cache", CPU)
    found = run.predict(data.train().images[0])

    assert run.card.settings == pipeline.settings
    assert found.ledger == {Supervision.IMAGENET, Supervision.TAGS}


def test_categories_count_from_one_where_data_have_none(pipeline, data):
    card = Card.of(pipeline, Part.parse("cim"), 0, data.train())

    assert card.category_ids == (1, 2)


def damage(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / CARD).unlink(), "it has no run.json"),
        (lambda folder: (folder / CARD).write_text("{"), "run.json is damaged"),
        (lambda folder: (folder / CARD).write_text("{}"), "does not describe a run"),
        (lambda folder: (folder / MODEL).unlink(), "is missing; train again"),
        (lambda folder: damage(folder / MODEL), "is damaged or of another run"),
    ],
)
def test_a_spoiled_folder_is_named(saved, pipeline, spoil, message):
    folder, _ = saved
    spoil(folder)

    with pytest.raises(RunError, match=message):
        load_run(folder, pipeline.cache, CPU)


def test_a_run_that_learned_nothing_is_in_nobodys_way(tmp_path, pipeline, data):
    folder = tmp_path / "run"
    begin(folder, Card.of(pipeline, Part.parse("cim"), 0, data.train()))

    begin(folder, Card.of(pipeline, Part.parse("oicr"), 1, data.train()))

    assert Card.read(folder).miner.name == "oicr"


def test_weights_of_another_model_are_refused(saved, pipeline):
    folder, _ = saved
    card = json.loads((folder / CARD).read_text())
    card["classes"].append("third")
    (folder / CARD).write_text(json.dumps(card))

    with pytest.raises(RunError, match="does not fit this version's model"):
        load_run(folder, pipeline.cache, CPU)


def test_a_run_begins_once_and_goes_on_as_itself(tmp_path, pipeline, data):
    folder = tmp_path / "run"
    card = Card.of(pipeline, Part.parse("cim"), 0, data.train())
    other = Card.of(pipeline, Part.parse("oicr"), 1, data.train())
    begin(folder, card)
    (folder / "checkpoint.safetensors").touch()

    begin(folder, card, resume=True)
    with pytest.raises(RunError, match="expected a new folder"):
        begin(folder, card)
    with pytest.raises(RunError, match=r"run \(miner\.name: 'cim' .*; seed: 0 there"):
        begin(folder, other, resume=True)
    with pytest.raises(RunError, match="is not finished"):
        load_run(folder, pipeline.cache, CPU)
