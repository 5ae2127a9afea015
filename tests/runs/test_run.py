import json
import shutil
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from unittest.mock import patch
from warnings import catch_warnings, simplefilter

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from safetensors.torch import save_file

from tests.drawn import Squares, settings
from tests.photos import draw_photos
from wsis import InputWarning
from wsis._support import provenance
from wsis._support.checks import WeightsError
from wsis._support.files import content
from wsis.contracts import Ledger, PseudoInstances, Supervision
from wsis.data.coco import CocoData
from wsis.data.scenes import Scenes
from wsis.experiments import compare
from wsis.features.backbones import efficientnet_lite0
from wsis.geometry.masks import dense
from wsis.heads import MaskPool
from wsis.mining import CIMMiner
from wsis.proposals import RegionTree
from wsis.runs._card import MODEL, PHOTOS, RunError
from wsis.runs.pipeline import Pipeline
from wsis.runs.run import Card, load, train
from wsis.runs.settings import Part, Settings, SettingsError
from wsis.training.checkpoints import Progress
from wsis.training.inference import scores

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
    card.begin(folder)
    model = pipeline.model(2, 0).eval()
    card.trained(Progress(step=2, losses=[{"total": 1.5}])).save(folder, model)
    return folder, model


def test_a_run_comes_back_as_it_was(saved, pipeline, data):
    folder, model = saved
    run = load(folder, device="cpu", cache=pipeline.cache)
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


def test_tags_that_are_known_leave_no_other_class(saved, pipeline, data):
    folder, _ = saved
    run = load(folder, device="cpu", cache=pipeline.cache)
    image = data.train().images[0]
    free, tied = run.predict(image), run.predict(image, tags=["DISC"])

    assert set(free.label.tolist()) == {1, 2}
    assert set(tied.label.tolist()) == {2}
    alone = free.filter(classes=["disc"])
    assert tied.score.equal(alone.score)
    assert list(tied.masks) == list(alone.masks)
    assert len(run.predict(image, tags=[])) == 0
    with pytest.raises(LookupError, match="there is no class 'dog'; the classes are"):
        run.predict(image, tags=["dog"])
    assert run.predict(image, tags="disc").score.equal(tied.score)
    with pytest.raises(LookupError, match="expected names of classes, got 2; the cl"):
        run.predict(image, tags=iter(["disc", 2]))
    with pytest.raises(ValueError, match=r"whole counts of at least 0, got disc 1\.5"):
        run.predict(image, tags={"square": 1, "disc": 1.5})


def test_agreement_is_the_share_of_branches_whose_best_is_the_instance(pipeline, data):
    model = pipeline.model(2, 3).eval()
    [bag] = pipeline.bags(data.train().images[:1])
    found = pipeline.predict(model, bag)
    views = scores(model, bag, pipeline.features(model), pipeline.test_views)
    masks = dense(bag.proposals, torch.arange(len(bag.proposals))).flatten(1)

    shares = []
    for index, label in zip(found.index.tolist(), found.label.tolist(), strict=True):
        near = []
        for k in range(pipeline.settings.branches):
            products = torch.stack([one.branches[k].product[:, label] for one in views])
            one, best = masks[index], masks[int(products.mean(0).argmax())]
            near.append((one & best).sum() / (one | best).sum() >= 0.5)
        shares.append(sum(map(float, near)) / len(near))

    assert len(found) > 10
    assert found.agreement.tolist() == pytest.approx(shares)
    assert 0 < sum(shares) < len(shares)


def test_room_for_few_instances_goes_to_the_tags(saved, pipeline, data):
    _, model = saved
    few = replace(
        pipeline, settings=Settings.read(["selection.limit=1"], pipeline.settings)
    )
    [bag] = few.bags(data.train().images[:1])
    first = int(few.predict(model, bag).label)
    other = torch.tensor([first != 1, first != 2])

    assert few.predict(model, bag, other).label.tolist() == [3 - first]


def test_a_run_that_trained_its_backbone_needs_no_file_of_weights(tmp_path, data):
    weights, folder = tmp_path / "w.safetensors", tmp_path / "run"
    save_file(efficientnet_lite0("random").net.state_dict(), weights)
    own = (f"backbone.weights={weights}", "freeze=false")
    small = ("source.nodes=20", "test_sides=64")
    pipeline = Pipeline(Settings.read([*own, *small]), tmp_path / "cache")
    card = Card.of(pipeline, Part.parse("cim"), 0, data.train())
    card.begin(folder)
    card.trained(Progress()).save(folder, pipeline.model(2, 0))
    weights.unlink()

    run = load(folder, device="cpu", cache=tmp_path / "cache")
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
        (lambda folder: (folder / Card.FILE).unlink(), "it has no run.json"),
        (lambda folder: (folder / Card.FILE).write_text("{"), "run.json is damaged"),
        (
            lambda folder: (folder / Card.FILE).write_text("{}"),
            "does not describe a run: ",
        ),
        (lambda folder: (folder / MODEL).unlink(), "is missing; train again"),
        (lambda folder: damage(folder / MODEL), "is damaged or of another run"),
    ],
)
def test_a_spoiled_folder_is_named(saved, pipeline, spoil, message):
    folder, _ = saved
    spoil(folder)

    with pytest.raises(RunError, match=message):
        load(folder, device="cpu", cache=pipeline.cache)


def test_a_run_that_learned_nothing_is_in_nobodys_way(tmp_path, pipeline, data):
    folder = tmp_path / "run"
    Card.of(pipeline, Part.parse("cim"), 0, data.train()).begin(folder)

    Card.of(pipeline, Part.parse("oicr"), 1, data.train()).begin(folder)

    assert Card.read(folder).miner.name == "oicr"


def test_weights_of_another_model_are_refused(saved, pipeline):
    folder, _ = saved
    card = json.loads((folder / Card.FILE).read_text())
    card["classes"].append("third")
    card["category_ids"].append(7)
    (folder / Card.FILE).write_text(json.dumps(card))

    with pytest.raises(RunError, match="does not fit this version's model"):
        load(folder, device="cpu", cache=pipeline.cache)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"supervision": ["magic"]}, "supervision: .*'magic'"),
        ({"category_ids": [5]}, "expected 2 category_ids, each once"),
        ({"classes": ["disc", "disc"]}, "expected 2 classes, each once"),
    ],
)
def test_a_card_that_cannot_be_is_refused(saved, change, message):
    folder, _ = saved
    path = folder / Card.FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | change))

    with pytest.raises(RunError, match=rf"run.json does not describe a run: {message}"):
        load(folder, device="cpu")


def test_a_card_of_the_first_revision_without_a_backbones_settings_is_refused(saved):
    folder, _ = saved
    content = json.loads((folder / Card.FILE).read_text())
    del content["revision"]
    content["settings"]["backbone"] = {"name": "efficientnet_lite0", "settings": "x"}
    (folder / Card.FILE).write_text(json.dumps(content))

    with pytest.raises(RunError, match=r"settings.backbone.settings: expected"):
        load(folder, device="cpu")


def test_a_run_of_before_keeps_the_padding_it_was_trained_with(saved, pipeline):
    folder, _ = saved
    path = folder / Card.FILE
    told = json.loads(path.read_text())
    assert told.pop("revision") == 2
    path.write_text(json.dumps(told))

    before = load(folder, device="cpu", cache=pipeline.cache)

    assert not before.card.settings.build("backbone").name.startswith("tf_")
    assert pipeline.settings.build("backbone").name.startswith("tf_")
    before.card.write(folder)
    assert load(folder, device="cpu", cache=pipeline.cache).card == before.card


def test_a_frozen_run_knows_its_backbone(tmp_path, saved, pipeline):
    folder, _ = saved
    path = folder / Card.FILE
    inputs = {"inputs": {"backbone": pipeline.weights}}
    path.write_text(json.dumps(json.loads(path.read_text()) | inputs))
    load(folder, device="cpu", cache=pipeline.cache)
    path.write_text(
        json.dumps(json.loads(path.read_text()) | {"inputs": {"backbone": "0"}})
    )

    with pytest.raises(RunError, match=r"weights that the run in .* was trained on"):
        load(folder, device="cpu", cache=pipeline.cache)


def test_a_run_begins_once_and_goes_on_as_itself(tmp_path, pipeline, data):
    folder = tmp_path / "run"
    card = Card.of(pipeline, Part.parse("cim"), 0, data.train())
    other = Card.of(pipeline, Part.parse("oicr"), 1, data.train())
    card.begin(folder)
    (folder / "checkpoint.safetensors").touch()

    card.begin(folder, resume=True)
    with pytest.raises(RunError, match="expected a new folder"):
        card.begin(folder)
    with pytest.raises(RunError, match=r"run \(miner\.name: 'cim' .*; seed: 0 there"):
        other.begin(folder, resume=True)
    with pytest.raises(RunError, match="is not finished"):
        load(folder, device="cpu", cache=pipeline.cache)


@dataclass(frozen=True, kw_only=True)
class Largest:
    """A miner that is installed nowhere."""

    gamma: float = 0.5

    def __call__(self, scores, overlaps, tags):
        score = scores.classification[:, 1:]
        c = tags.nonzero().flatten()
        index = (score * overlaps.area[:, None] ** self.gamma)[:, c].argmax(0)
        return PseudoInstances(index, label=c + 1, weight=score[index, c])


def trained(cache, miner="cim", data=None, weights="random", parts=None, **more):
    return train(
        data or Squares(train=4, val=2),
        miner=miner,
        settings={
            "backbone.weights": weights,
            "source": RegionTree(nodes=20, pairs=5, side=64),
            "train_sides": (64,),
            "test_sides": (64,),
            "schedule.epochs": 1,
            **(parts or {}),
        },
        device="cpu",
        cache=cache,
        **more,
    )


def test_a_miner_object_trains_saves_loads_and_predicts(tmp_path):
    run = trained(tmp_path / "cache", Largest(gamma=0.3))
    saved = run.save(tmp_path / "run")

    loaded = load(tmp_path / "run", device="cpu", cache=tmp_path / "cache")
    photo = Squares(val=1).val().tagged.images[0]

    assert saved.card == loaded.card
    assert loaded.card.miner.name == f"{Largest.__module__}.Largest"
    assert loaded.card.miner.settings == {"gamma": 0.3}
    assert loaded.card.settings.source.name == "region_tree"
    assert loaded.find(photo).score.equal(run.find(photo).score)
    assert loaded.name == f"{Largest.__module__}.Largest:gamma=0.3"


def test_the_same_seed_gives_the_same_model_whether_kept_or_not(tmp_path):
    one = trained(tmp_path / "cache", CIMMiner(p_seed=0.2))
    other = trained(tmp_path / "cache", "cim:p_seed=0.2", folder=tmp_path / "run")

    for mine, theirs in zip(
        one.model.state_dict().values(), other.model.state_dict().values(), strict=True
    ):
        assert mine.equal(theirs)
    assert other.card.weights
    assert not one.card.weights


def test_photos_come_in_any_form(tmp_path):
    run = trained(tmp_path / "cache")
    assert f"{run}".startswith(f"Run(cim on {run.card.data}, seed 0: 2 classes (")
    assert f"{run}".endswith(f"{run.card.said}; consumed tags)")
    pixels = Squares(val=1).val().tagged.images[0].load()
    Pillow.fromarray(pixels).save(tmp_path / "photo.png")

    found = [
        run.predict(photo)
        for photo in (pixels, Pillow.fromarray(pixels), tmp_path / "photo.png")
    ]

    assert found[0].size == pixels.shape[:2]
    for one in found[1:]:
        assert one.score.equal(found[0].score)
    with pytest.raises(ValueError, match=r"shape \(2, 2\) and type uint8"):
        run.predict(np.zeros((2, 2), np.uint8))
    with pytest.raises(ValueError, match=r"shape \(0, 2, 3\) and type uint8"):
        run.predict(np.zeros((0, 2, 3), np.uint8))


def test_a_run_is_measured_by_masks_alone(tmp_path):
    run = trained(tmp_path / "cache")

    figures = run.evaluate(Squares(train=1, val=2))

    assert 0 <= figures.metrics["mAP50"] <= 100
    with pytest.raises(ValueError, match="classes of the model, red, blue; "):
        run.evaluate(Scenes(train_images=1, val_images=1))


def test_data_sets_come_by_name_too(tmp_path):
    named, given = (
        train(data, settings=settings(), device="cpu", cache=tmp_path / "cache")
        for data in ("tests.drawn.Squares", Squares())
    )

    assert all(
        v.equal(given.model.state_dict()[k])
        for k, v in named.model.state_dict().items()
    )
    measured = [run.evaluate("tests.drawn.Squares") for run in (named, given)]
    assert measured[0].metrics == measured[1].metrics
    with pytest.raises(ValueError, match="measure by, FolderData has none"):
        named.evaluate(f"folder:root={tmp_path}")
    for use in (train, named.evaluate, partial(compare, "cim")):
        with pytest.raises(SettingsError, match=r"the class Squares; give Squares\(\)"):
            use(Squares)
    with pytest.raises(LookupError, match="scene"):
        compare("cim", "scene", cache=tmp_path)


def test_photos_that_a_run_was_trained_on_are_told_where_they_are_measured(tmp_path):
    folder, cache = tmp_path / "run", tmp_path / "cache"
    seen, val = Squares(train=4).train(), Squares(val=2).val()
    mixed = replace(
        val, tagged=replace(val.tagged, images=[val.tagged.images[0], seen.images[1]])
    )
    run = trained(cache, folder=folder)
    loaded = load(folder, device="cpu", cache=cache)
    card = Card.read(folder)

    assert loaded.photos == tuple(run.photos)
    assert len(set(run.photos)) == 4
    for one in (run, loaded):
        one.evaluate(val)
        unread = patch.object(type(one), "find", side_effect=AssertionError)
        with unread, catch_warnings():
            simplefilter("error", InputWarning)  # before anything is predicted
            with pytest.raises(InputWarning, match="1 of 2 measured photos"):
                one.evaluate(mixed)
        with pytest.warns(InputWarning, match=r"1 of 2 measured photos .*: train 1;"):
            one.evaluate(mixed)
    # An earlier version kept one digest of all.
    card.model_copy(update={"photos": ""}).write(folder)
    old = load(folder, device="cpu", cache=cache)
    old.evaluate(mixed)
    assert old.tell_trained_on([], []) == 0
    with pytest.warns(InputWarning, match="4 of 4 measured photos are also training"):
        assert old.tell_trained_on(seen.images, run.photos) == 4
    card.write(folder)
    (folder / PHOTOS).write_bytes(b"another's")
    with pytest.warns(InputWarning, match=r"photos\.json\.gz is damaged or of another"):
        assert load(folder, device="cpu", cache=cache).photos == ()
    (folder / PHOTOS).unlink()
    assert load(folder, device="cpu", cache=cache).photos == ()


def test_parts_that_cannot_be_imported_are_given_again(tmp_path):
    head = MaskPool(472)
    run = train(
        Squares(train=2, val=1),
        settings={
            "backbone.weights": "random",
            "source.nodes": 20,
            "head": head,
            "train_sides": (64,),
            "test_sides": (64,),
            "schedule.epochs": 1,
        },
        cache=tmp_path / "cache",
        device="cpu",
        folder=tmp_path / "run",
    )
    image = Squares(val=1).val().tagged.images[0]

    with pytest.raises(RunError, match=r"head .*MaskPool.*parts="):
        load(tmp_path / "run", cache=tmp_path / "cache", device="cpu")
    with pytest.raises(RunError, match="expected the head that the run"):
        load(tmp_path / "run", cache=tmp_path / "cache", parts={"head": MaskPool(8)})
    again = load(tmp_path / "run", cache=tmp_path / "cache", parts={"head": head})

    assert again.find(image).score.equal(run.find(image).score)


def weights(run):
    return list(run.model.state_dict().values())


def test_a_device_of_before_is_the_device_of_now(saved):
    folder, _ = saved
    content = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(
        json.dumps({**content, "devices": ["cpu, 1 threads"]})
    )

    assert Card.read(folder).devices == ("cpu, 1 thread",)


def test_a_card_tells_what_a_run_is_made_from_and_on(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance.torch, "get_num_threads", lambda: 3)
    whole = trained(tmp_path / "cache", folder=tmp_path / "whole")
    part = trained(tmp_path / "cache", folder=tmp_path / "part", steps=3)
    monkeypatch.setattr(provenance.torch, "get_num_threads", lambda: 1)

    assert whole.card.inputs["photos"].startswith("4 photos, ")
    assert whole.card.inputs.keys() == {"photos", "tags", "proposals", "backbone"}
    assert whole.card.devices == ("cpu, 3 threads",)
    assert whole.card.commit == provenance.commit()
    with pytest.warns(InputWarning, match=r"begun on cpu, 3 threads and continues on"):
        resumed = trained(tmp_path / "cache", folder=tmp_path / "part", resume=True)
    assert part.card.images == 3
    assert resumed.card.devices == ("cpu, 3 threads", "cpu, 1 thread")
    assert resumed.card.losses == whole.card.losses
    assert resumed.card.weights == whole.card.weights
    assert all(
        a.equal(b) for a, b in zip(weights(whole), weights(resumed), strict=True)
    )


class Others(Squares):
    """Photos of the same names with other pixels."""

    def __init__(self):
        super().__init__(train=4, val=2, seed=7)


class Retagged(Squares):
    """The same photos, one of them with a tag more."""

    def train(self):
        tagged = super().train()
        first = replace(tagged.images[0], tags=torch.tensor([True, True]))
        return replace(tagged, images=[first, *tagged.images[1:]])


def test_a_run_resumes_with_its_weights_at_another_path(tmp_path):
    net, paths = efficientnet_lite0("random").net, (tmp_path / "a.pth", tmp_path / "b")
    for path in paths:
        save_file(net.state_dict(), path)
    ways = [{"weights": str(path), "folder": tmp_path / "run"} for path in paths]
    trained(tmp_path / "cache", **ways[0], steps=2)
    paths[0].unlink()

    assert trained(tmp_path / "cache", **ways[1], resume=True, steps=4).card.images == 4

    net.bn1.weight.data += 1
    save_file(net.state_dict(), paths[1])
    with pytest.raises(RunError, match=r"another run \(inputs\.backbone: "):
        trained(tmp_path / "cache", **ways[1], resume=True)


@dataclass(frozen=True)
class Proposing:
    """Somebody's source with a file of weights, of whose content it tells nothing."""

    weights: str
    ledger: Ledger = frozenset()

    def __call__(self, image):
        return RegionTree(nodes=20, pairs=5, side=64)(image)


@dataclass(frozen=True)
class Sampling:
    """Likewise a sampler."""

    weights: str

    def __call__(self, pseudo, generator):
        return pseudo


class Telling:
    """Tells the content of a part's weights."""

    def depends_on(self):
        return {"weights": content(Path(self.weights))}


@dataclass(frozen=True)
class ProposingTold(Telling, Proposing):
    pass


@dataclass(frozen=True)
class SamplingTold(Telling, Sampling):
    pass


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ({"source": ProposingTold}, "proposals"),
        ({"sampler": SamplingTold}, "code of the sampler"),
    ],
)
def test_a_run_resumes_with_the_weights_of_any_part_at_another_path(
    tmp_path, part, told
):
    [(kind, of)] = part.items()
    paths = tmp_path / "a", tmp_path / "b"
    for path in paths:
        path.write_text("weights")
    ways = [
        {"parts": {kind: of(weights=str(path))}, "folder": tmp_path / "run"}
        for path in paths
    ]
    trained(tmp_path / "cache", **ways[0], steps=2)
    paths[0].unlink()

    assert trained(tmp_path / "cache", **ways[1], resume=True, steps=4).card.images == 4

    paths[1].write_text("others")
    with pytest.raises(RunError, match=rf"another run .*inputs\.{told}: "):
        trained(tmp_path / "cache", **ways[1], resume=True)


@pytest.mark.parametrize(
    ("kind", "of", "told"),
    [
        ("source", Proposing, "proposals"),
        ("sampler", Sampling, "weights of the sampler"),
    ],
)
def test_weights_of_which_a_part_tells_nothing_are_known_by_their_path(
    tmp_path, kind, of, told
):
    ways = [
        {"parts": {kind: of(weights=path)}, "folder": tmp_path / "run"}
        for path in ("a", "b")
    ]
    trained(tmp_path / "cache", **ways[0], steps=2)

    with pytest.raises(RunError, match=rf"another run .*inputs\.{told}: "):
        trained(tmp_path / "cache", **ways[1], resume=True)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (Others(), r"another run \(inputs\.photos: '4 photos, .*asked for\)"),
        (Retagged(train=4), r"another run \(inputs\.tags: "),
        (Squares(train=3), r"inputs\.photos: '4 photos, .* '3 photos, "),
    ],
)
def test_a_run_resumes_on_its_own_photos_and_tags_alone(tmp_path, data, message):
    trained(tmp_path / "cache", folder=tmp_path / "run", steps=2)
    before = (tmp_path / "run" / MODEL).read_bytes()

    with pytest.raises(RunError, match=message):
        trained(tmp_path / "cache", data=data, folder=tmp_path / "run", resume=True)
    assert (tmp_path / "run" / MODEL).read_bytes() == before


def test_a_run_of_other_versions_or_without_digests_is_not_resumed(tmp_path):
    folder = tmp_path / "run"
    trained(tmp_path / "cache", folder=folder, steps=2)
    card = json.loads((folder / Card.FILE).read_text())

    for change, message in (
        (
            {"versions": {**card["versions"], "torch": "1.0"}},
            r"versions\.torch: '1\.0'",
        ),
        ({"inputs": {}}, "earlier version of wsis, which kept no digest"),
    ):
        (folder / Card.FILE).write_text(json.dumps({**card, **change}))
        with pytest.raises(RunError, match=message):
            trained(tmp_path / "cache", folder=folder, resume=True)
    del card["versions"]
    (folder / Card.FILE).write_text(json.dumps(card))
    with pytest.raises(RunError, match="does not describe a run: versions"):
        load(folder, device="cpu")


def test_an_older_card_loads_and_is_not_given_todays_commit(saved, pipeline, tmp_path):
    folder, _ = saved
    card = json.loads((folder / Card.FILE).read_text())
    for key in ("commit", "devices", "inputs", "dropped"):
        del card[key]
    card["versions"] = {"wsis": "0.0.1"}
    (folder / Card.FILE).write_text(json.dumps(card))

    load(folder, device="cpu", cache=pipeline.cache).save(tmp_path / "copy")

    again = Card.read(tmp_path / "copy")
    assert (again.commit, again.devices, again.inputs) == (None, (), {})
    assert again.versions == {"wsis": "0.0.1"}


def test_weights_that_are_not_finite_do_not_load(saved, pipeline):
    folder, model = saved
    with torch.no_grad():
        model.anti_noise.classifier.weight[0] = torch.nan
    Card.read(folder).save(folder, model)

    with pytest.raises(WeightsError, match=r"anti_noise\.classifier\.weight"):
        load(folder, device="cpu", cache=pipeline.cache)


def test_all_broken_photos_are_named_before_any_work(tmp_path):
    def broken(i):
        def load():
            raise ValueError(f"cannot read {i}.png")

        return load

    tagged = Squares(train=4).train()
    images = [
        replace(image, load=broken(image.id)) if image.id > 1 else image
        for image in tagged.images
    ]

    with pytest.raises(ValueError, match=r"2 of 4 .*read 2\.png; cannot read 3\.png"):
        trained(tmp_path / "cache", data=replace(tagged, images=images))
    assert not (tmp_path / "cache" / "proposals").exists() or not any(
        (tmp_path / "cache" / "proposals").rglob("*.safetensors")
    )


def test_a_disk_without_room_and_steps_below_one_are_refused(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10))

    with pytest.raises(
        RunError, match=r"MiB free for checkpoints and weights .* are 0"
    ):
        trained(tmp_path / "cache", folder=tmp_path / "run")
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        trained(tmp_path / "cache", steps=0)


def test_resuming_needs_a_folder(tmp_path):
    with pytest.raises(SettingsError, match="the folder of the run to resume"):
        trained(tmp_path, resume=True)


def test_photos_are_mined_by_apart_where_nothing_names_a_miner(tmp_path):
    quick = (
        *("backbone=efficientnet_lite0:weights=random", "class_map=false"),
        *("source=region_tree:nodes=20:pairs=0", "test_source=none"),
        *("train_sides=64", "test_sides=64"),
    )
    how = {"device": "cpu", "cache": tmp_path, "steps": 1}

    run = train(Squares(train=2), settings=quick, **how)
    own = train(Squares(train=2), settings=run.pipeline.settings, **how)

    assert run.card.miner == Part(name="apart")
    assert own.card.miner == Part(name="cim")
