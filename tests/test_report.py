import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
import torch

from tests.photos import draw_photos
from wsis import report
from wsis.bench import METRICS, Comparison, Run
from wsis.config import Settings
from wsis.contracts import Predictions
from wsis.data.coco import CocoData
from wsis.evaluation import Evaluation
from wsis.masks import rles
from wsis.pipeline import Pipeline
from wsis.report import Panel, Strip, render, strips, write_report

CLASSES = ("square", "disc")


class Page(HTMLParser):
    """Tables by id as rows of cells, everything that is linked, and the tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.links: list[str] = []
        self.tags: list[str] = []
        self.bold: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        self.links += [v for k, v in attrs if k in ("src", "href", "srcset", "action")]
        if tag == "table":
            self.rows = self.tables.setdefault(found["id"], [])
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self.best = found.get("class") == "best"
        self.inside = tag

    def handle_data(self, data):
        if self.rows and self.rows[-1] and self.inside in ("td", "th", "code"):
            self.rows[-1][-1] += data
            if self.best:
                self.bold.append(data)

    def handle_endtag(self, tag):
        self.inside = ""


def evaluation(value: float, **more: float) -> Evaluation:
    each = dict.fromkeys(METRICS, value)
    return Evaluation(each | more, {"square": dict(each), "disc": {"mAP50": None}})


def run(miner: str, seed: int, value: float) -> Run:
    found = evaluation(value)
    return Run(
        miner=miner,
        miner_settings={"p_seed": 0.1},
        seed=seed,
        metrics=found.metrics,
        per_class=found.per_class,
        train_seconds=12.34,
        predict_seconds=5.0,
        peak_memory_mb=321.0,
        skipped={"no tags": 2},
        losses=[{"total": 1.0}],
    )


def comparison(*runs: Run, name: str = "shapes") -> Comparison:
    return Comparison(
        settings={**Settings().resolved(), "seeds": [0, 1], "device": "cpu"},
        data={
            "name": name,
            "train_images": 4,
            "val_images": 3,
            "classes": list(CLASSES),
        },
        oracle=evaluation(80.0, ABO=71.0),
        random=evaluation(1.0),
        runs=list(runs),
        supervision=["imagenet classes", "tags"],
        prepare_seconds=1.5,
    )


TWO = [run("cim", 0, 30.0), run("mist", 0, 20.0), run("cim", 1, 32.0)]
TWO.append(run("mist", 1, 22.0))


def test_rows_are_those_of_the_results():
    page = Page(render(comparison(*TWO), []))

    mean = ["31.0 ± 1.4"] * 5
    assert page.tables["results"][1:] == [
        ["cim", "2", *mean, "–"],
        ["mist", "2", *["21.0 ± 1.4"] * 5, "–"],
        ["oracle", "", *["80.0"] * 4, "–", "71.0"],
        ["random", "", *["1.0"] * 5, "–"],
    ]
    assert page.tables["classes"][1:] == [
        ["square", "31.0", "21.0", "80.0", "1.0"],
        ["disc", "–", "–", "–", "–"],
    ]
    assert page.bold == [*mean, "31.0"]
    assert page.tables["runs"][1] == ["cim", "0", "12.3", "5.0", "321", "2 (no tags)"]
    assert ["source.nodes", "600"] in page.tables["settings"]
    assert ["cim", "p_seed=0.1"] in page.tables["miners"]


def test_one_seed_has_no_deviation_and_one_miner_is_not_the_best():
    page = Page(render(comparison(run("cim", 0, 30.0)), []))

    assert page.tables["results"][1] == ["cim", "1", *["30.0"] * 5, "–"]
    assert page.bold == []


def test_the_page_needs_nothing_else_and_everything_is_escaped():
    bad = "<script src='https://example.org/x.js'>"
    found = comparison(run(bad, 0, 1.0), name=bad)
    text = render(
        found, [Strip(name=bad, panels=[Panel(title=bad, uri="data:image/jpeg,x")])]
    )
    page = Page(text)

    assert "script" not in page.tags
    assert "link" not in page.tags
    assert page.links == ["data:image/jpeg,x"]
    assert not re.search(r"url\(|@import", text)
    assert page.tables["results"][1][0] == bad
    assert found.results()["settings_hash"] in text


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    photos = draw_photos(folder)
    data = CocoData(images=photos.images, val_json=photos.val)
    pipeline = Pipeline(
        Settings.read(["backbone.weights=random", "source.nodes=20", "source.pairs=0"]),
        folder / "cache",
    )
    return data.val(), pipeline


def found_by(pipeline, image, scores):
    [bag] = pipeline.bags([image])
    index = torch.arange(len(scores))
    return Predictions(
        image_id=image.id,
        size=bag.proposals.size,
        index=index,
        label=torch.ones_like(index),
        score=torch.tensor(scores),
        boxes=torch.zeros(len(scores), 4),
        masks=rles(bag.proposals, index),
    )


def test_pictures_show_photo_oracle_miners_and_truth(drawn, tmp_path):
    val, pipeline = drawn
    predictions = [found_by(pipeline, i, [0.9, 0.5]) for i in val.tagged.images]
    found = replace(
        comparison(*TWO), pictures={"cim": predictions, "mist": predictions}
    )

    write_report(found, val, pipeline, tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text())

    titles = [panel.title for panel in strips(found, val, pipeline)[0].panels]
    assert titles == ["image", "oracle", "cim", "mist", "ground truth"]
    assert len(page.links) == len(val.tagged.images) * len(titles)
    assert all(link.startswith("data:image/jpeg;base64,") for link in page.links)
    assert (tmp_path / "report.html").stat().st_size < 4_000_000


def test_weak_predictions_are_not_drawn(drawn):
    val, pipeline = drawn

    def picture(*scores):
        images = val.tagged.images
        made = [found_by(pipeline, i, list(scores)) for i in images]
        shown = strips(replace(comparison(), pictures={"cim": made}), val, pipeline)
        return shown[0].panels[2].uri

    assert picture(0.9, 0.2) == picture(0.9)
    assert picture(0.9, 0.5) != picture(0.9)
    assert picture(*[0.9] * 8) == picture(*[0.9] * 5)
    assert picture() == strips(comparison(), val, pipeline)[0].panels[0].uri


def test_pictures_stop_at_the_budget(drawn, monkeypatch):
    val, pipeline = drawn
    one = strips(comparison(), val, pipeline)[0]
    size = sum(len(panel.uri) for panel in one.panels)
    monkeypatch.setattr(report, "BUDGET", size + 10)

    assert len(strips(comparison(), val, pipeline)) == 1
