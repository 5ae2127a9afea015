"""Caches know what made them: versions of parts, weights, other people's code.

A change of a built-in part's results must raise its ``version``. Results are compared
with stored ones as a few numbers, within a thousandth: machines differ in last digits,
and a change that moves less would leave figures as they are.
"""

import json
import os
import shutil
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from tests.drawn import Squares, settings
from tests.tiny_hed import tiny_hed
from tests.tiny_sam import tiny_sam
from wsis import plugins
from wsis._support.files import CacheMismatchError
from wsis.contracts import (
    Image,
    Ledger,
    Points,
    Proposals,
    TaggedImage,
    Tracing,
    Versioned,
)
from wsis.features.backbones import TimmBackbone
from wsis.features.scale import Scale
from wsis.features.views import pixels, view
from wsis.geometry.overlap import overlaps
from wsis.proposals.evidence import PixelEvidence
from wsis.proposals.region_tree import RegionTree
from wsis.proposals.store import CachedSource
from wsis.runs.pipeline import Pipeline

STORED = Path(__file__).parent / "versions.json"
SMALL = {"side": 64, "superpixels": 60}


def photo() -> Image:
    """Patches of drawn colours: no two borders are equally strong on any machine."""
    colours = np.random.default_rng(0).integers(0, 255, (6, 8, 3))
    return np.kron(colours, np.ones((8, 8, 1))).astype(np.uint8)


def numbers(*arrays) -> list[float]:
    """A few numbers that tell arrays apart, also by the place of their values."""
    found = []
    for array in arrays:
        flat = torch.as_tensor(array).double().flatten()
        place = torch.linspace(1, 2, len(flat), dtype=torch.float64)
        found += [float(len(flat)), float(flat.sum()), float(flat @ place)]
    return found


def proposed(name):
    if name in ("files", "hed", "sam"):
        # They read files, group as ``lab`` does, or are other people's code.
        return []
    count = {"nodes": 20, "pairs": 9} if name == "region_tree" else {"count": 30}
    found = plugins.create("sources", name, {**SMALL, **count})(photo())
    return numbers(found.members.int(), found.regions)


def outlined(name):
    exact = {"precision": "float32"} if name == "hed" else {}
    return numbers(plugins.create("contours", name, exact)(photo()))


def mapped(name):
    network = plugins.create("backbones", name, {"weights": "random"})
    with torch.no_grad():
        found = network(pixels(photo(), Scale(64), network))
    return numbers(found, found.abs())


def pooled(name):
    head = plugins.create("heads", name, {"channels": 4, "width": 8})
    tree = RegionTree(nodes=9, pairs=0, side=64, superpixels=20)(photo())
    generator = torch.Generator().manual_seed(0)
    laid = view(torch.rand(4, 6, 8, generator=generator), tree, Scale(64))
    described = PixelEvidence()(photo(), tree) if name == "mask_pool" else ()
    return numbers(head.pool(laid), *described)


def labelled(name):
    source = plugins.create("cues", name)
    tree = RegionTree(nodes=20, pairs=0, side=64, superpixels=40)(photo())
    tags = torch.tensor([[True, False], [False, True]])
    maps = torch.zeros(2, 3, 6, 8)
    maps[0, 0, 2:4, 3:6] = maps[1, 1, 1:3, 1:3] = 5
    labeller = source.fit(list(maps), tags, torch.Generator().manual_seed(0))
    if labeller is None:
        return []
    points = Points(xy=torch.tensor([[35.0, 20.0]]), label=torch.tensor([1]))
    image = TaggedImage(id=0, name="a", tags=tags[0], load=photo, points=points)
    if isinstance(labeller, Tracing):
        labeller = labeller.through(
            lambda image, gradients: torch.ones(len(gradients), 48, 64) / (48 * 64)
        )
    return numbers(labeller(image, maps[0], tree, overlaps(tree)))


RESULTS = {
    "contours": outlined,
    "sources": proposed,
    "backbones": mapped,
    "heads": pooled,
    "cues": labelled,
}
PARTS = [
    (kind, name)
    for kind in RESULTS
    for name in plugins.names(kind)
    if plugins._registered(kind)[name].value.startswith("wsis.")
]
LARGE = ("hrnet_w48", "resnet50", "vgg16")


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_other_results_have_another_version(kind, name, tmp_path, monkeypatch):
    monkeypatch.setenv("WSIS_HED_WEIGHTS", "")
    if name == "hed":
        monkeypatch.setenv("WSIS_HED_WEIGHTS", str(tiny_hed(tmp_path / "hed.h5")))
    known = json.loads(STORED.read_text())
    # All backbones are of one class; the largest would take seconds each.
    found = [] if name in LARGE else RESULTS[kind](name)
    part = plugins.find(kind, name)
    version = part.version if isinstance(part, type) else TimmBackbone.version
    if os.environ.get("WSIS_STORE_VERSIONS"):
        known[f"{kind} {name}"] = {"version": version, "numbers": found}
        STORED.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n")

    stored = known[f"{kind} {name}"]
    if version == stored["version"]:
        assert found == pytest.approx(stored["numbers"], rel=1e-3), (
            "the part gives other results than before: raise its version, then store "
            "its results: WSIS_STORE_VERSIONS=1 python -m pytest tests/test_identity.py"
        )
    else:
        pytest.fail("store the results of the new version: WSIS_STORE_VERSIONS=1 …")


def test_every_built_in_part_that_caches_hold_has_a_version(tmp_path):
    for kind, name in PARTS:
        part = plugins.find(kind, name)
        assert not isinstance(part, type) or isinstance(part, Versioned), name
    assert plugins.identity(RegionTree()) == {
        "version": RegionTree.version,
        "contours": {"version": 1},
    }


def test_hed_is_known_by_the_content_of_its_weights(tmp_path, monkeypatch):
    first = tiny_hed(tmp_path / "a.h5", seed=0)
    other = tiny_hed(tmp_path / "b.h5", seed=1)
    image = photo()

    def made(path):
        monkeypatch.setenv("WSIS_HED_WEIGHTS", str(path))
        source = plugins.create("sources", "hed", {**SMALL, "count": 30})
        return CachedSource.under(tmp_path / "c", source, {}), source(image)

    one, mine = made(first)
    two, theirs = made(other)
    assert one.cache.folder != two.cache.folder
    assert not mine.members.equal(theirs.members)
    # The same file elsewhere makes the same; another in its place does not.
    (tmp_path / "c.h5").write_bytes(first.read_bytes())
    assert made(tmp_path / "c.h5")[0].cache.folder == one.cache.folder
    first.write_bytes(other.read_bytes())
    again, replaced = made(first)
    assert again.cache.folder == two.cache.folder
    assert replaced.members.equal(theirs.members)


def test_sam_is_known_by_the_content_of_its_weights(tmp_path):
    if find_spec("transformers") is None:
        pytest.skip("transformers is not installed")
    given = {"weights": str(tiny_sam(tmp_path / "sam", seed=0)), "points": 4}
    source = plugins.create("sources", "sam", given)
    before = plugins.identity(source)

    tiny_sam(tmp_path / "sam", seed=1)

    after = plugins.identity(source)
    assert before["weights"][0] == after["weights"][0]
    assert before["weights"][1] != after["weights"][1]
    assert before.keys() >= {"version", "transformers", "torch", "device"}


def test_sam_at_another_path_makes_what_is_kept_already(tmp_path):
    if find_spec("transformers") is None:
        pytest.skip("transformers is not installed")
    here = tiny_sam(tmp_path / "here")
    shutil.copytree(here, tmp_path / "there")

    def kept():
        for name in ("here", "there"):
            sam = f"sam:points=4:weights={tmp_path / name}"
            source = Pipeline(settings(f"source={sam}"), tmp_path / "cache").source
            at = CachedSource.at(tmp_path / "at", source.source)
            yield source.cache.folder, source.origin("a"), at.cache.settings

    one, other = kept()
    assert one == other
    tiny_sam(tmp_path / "there", seed=1)
    with pytest.raises(CacheMismatchError, match=r"made_by\.weights"):
        list(kept())


def test_backbone_weights_replaced_in_place_give_new_features(tmp_path):
    path = tmp_path / "weights.pth"
    chosen = settings(f"backbone.weights={path}")
    found = []
    for seed in (0, 1):
        network = plugins.create(
            "backbones", "efficientnet_lite0", {"weights": "random"}
        )
        with torch.no_grad():
            for tensor in network.net.parameters():
                tensor.mul_(1 + seed / 10)
        torch.save(network.net.state_dict(), path)
        pipeline = Pipeline(chosen, tmp_path / "cache")
        [bag] = pipeline.bags(Squares(train=1).train().images)
        found.append(pipeline.frozen(bag, Scale(64)))
        assert found[-1].equal(
            Pipeline(chosen, tmp_path / "cache").frozen(bag, Scale(64))
        )

    assert not found[0].equal(found[1])


def test_features_of_other_numbers_of_threads_are_kept_apart(tmp_path):
    before = torch.get_num_threads()
    folders = []
    try:
        for threads in (1, 2, 1):
            torch.set_num_threads(threads)
            frozen = Pipeline(settings(), tmp_path).frozen
            folders.append((frozen.maps.folder, frozen.pooled.folder))
    finally:
        torch.set_num_threads(before)

    assert folders[0] == folders[2]
    assert not {*folders[0]} & {*folders[1]}


@dataclass(frozen=True)
class Theirs:
    """A third party's source."""

    ledger: Ledger = frozenset()

    def depends_on(self) -> dict[str, str]:
        return {"moon": "full"}

    def __call__(self, image: Image) -> Proposals:
        raise NotImplementedError


def test_other_peoples_parts_are_known_by_version_and_code(monkeypatch):
    one = plugins.identity(Theirs())
    assert one["moon"] == "full"
    assert one["package"] is None

    monkeypatch.setattr(plugins.inspect, "getsource", lambda module: "other code")

    assert plugins.identity(Theirs())["code"] != one["code"]


def typed(body):
    """A class that somebody typed into a notebook."""
    space = {"__name__": "__main__"}
    exec(f"class Mine:\n    def __call__(self, image):\n        return {body}\n", space)
    return plugins.identity(space["Mine"]())["code"]


def test_a_class_in_a_notebook_is_known_by_what_its_methods_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))
    assert typed("1") == typed("1")
    assert typed("1") != typed("2")
    assert typed("len(image)") != typed("max(image)")
