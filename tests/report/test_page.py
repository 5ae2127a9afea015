import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from tests.photos import draw_photos
from wsis._support.files import write_json
from wsis.cli import app
from wsis.data.coco import CocoData
from wsis.evaluation import Evaluation, dissect
from wsis.evaluation.anatomy import KINDS
from wsis.experiments import METRICS, Comparison, RunRecord
from wsis.geometry.masks import rles
from wsis.geometry.predictions import Predictions
from wsis.report import (
    Panel,
    ReportError,
    Strip,
    gallery,
    rebuild,
    render,
    strips,
)
from wsis.report.shown import Mined, Shown
from wsis.runs.pipeline import Pipeline
from wsis.runs.settings import Settings

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
        if (
            self.rows
            and self.rows[-1]
            and self.inside in ("td", "th", "code", "span", "br")
        ):
            self.rows[-1][-1] += data
            if self.best:
                self.bold.append(data)

    def handle_endtag(self, tag):
        self.inside = ""


def evaluation(value: float, **more: float) -> Evaluation:
    each = dict.fromkeys(METRICS, value)
    return Evaluation(each | more, {"square": dict(each), "disc": {"mAP50": None}})


def run(miner: str, seed: int, value: float) -> RunRecord:
    found = evaluation(value)
    return RunRecord(
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


def comparison(*runs: RunRecord, name: str = "shapes", **more: Any) -> Comparison:
    return Comparison(
        **more,
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


def results(*runs: RunRecord) -> dict[str, Any]:
    found = comparison(*runs)
    return found.results() | {"random_per_class": found.random.per_class}


TALLY = {"count": 3, "share": 30.0, "top": 1, "other_class": 0, "gain": 2.5}
ANATOMY = {"kinds": dict.fromkeys(KINDS, TALLY)}
AVERAGED = ANATOMY | {"rules": {}}
TRACE = [
    {
        "epoch": epoch,
        "branch": branch,
        "precision": 40.0 + epoch,
        "part": None,
        "whole-plus": 10.0,
        "targets_right": 90.0,
    }
    for epoch in range(2)
    for branch in range(2)
]


def verdict(first: str, other: str) -> dict[str, Any]:
    one = {
        "mean": 4.2,
        "interval": [1.0, 7.4],
        "p": 0.012,
        "verdict": "better",
        "seeds_more": None,
    }
    unsure = one | {"interval": None, "verdict": "not significant", "seeds_more": 3}
    return {
        "first": first,
        "strategies": {},
        "differences": {other: {"mAP50": one, "AP": unsure}},
    }


JUDGED = {"samples": 40, "strategies": {}, "differences": {}}

TWO = [run("cim", 0, 30.0), run("mist", 0, 20.0), run("cim", 1, 32.0)]
TWO.append(run("mist", 1, 22.0))


def test_rows_are_those_of_the_results():
    page = Page(render(results(*TWO), []))

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
    page = Page(render(results(run("cim", 0, 30.0)), []))

    assert page.tables["results"][1] == ["cim", "1", *["30.0"] * 5, "–"]
    assert page.bold == []


def test_figures_that_are_shown_equal_are_all_bold():
    given = [run(*one) for one in (("cim", 0, 30.04), ("oicr", 0, 29.96))]
    alike = Page(render(results(*given), []))
    apart = Page(render(results(*given, run("mist", 0, 20.0)), []))

    assert alike.bold == []
    assert {*apart.bold} == {"30.0"}
    assert len(apart.bold) == 2 * (len(METRICS) + 1)  # and one class


def test_the_page_needs_nothing_else_and_everything_is_escaped():
    bad = "<script src='https://example.org/x.js'>"
    found = comparison(run(bad, 0, 1.0), name=bad)
    panel = Panel(title=bad, uri="data:image/jpeg,x", strategy=bad, kinds=(bad,))
    given = found.results() | {
        "anatomy": {bad: ANATOMY},
        "trace": {bad: TRACE},
        "verdict": verdict(bad, bad),
        "supervision": {bad: [bad]},
    }
    text = render(given, [Strip(name=bad, panels=[panel], classes=(bad,))])
    page = Page(text)

    # The page has one of its own.
    assert page.tags.count("script") == 1
    assert "link" not in page.tags
    outside = [link for link in page.links if not link.startswith("#")]
    assert outside == ["data:image/jpeg,x"]
    assert not re.search(r"url\(|@import", text)
    assert page.tables["results"][1][0] == bad
    assert found.results()["settings_hash"] in text


def test_verdicts_are_told_with_interval_p_and_what_would_settle_them():
    text = render(results(*TWO) | {"verdict": verdict("cim", "mist")}, [])
    page = Page(text)

    [row] = page.tables["verdict"][1:]
    assert row[0] == "mist"
    assert row[2] == "better+4.2 (+1.0 to +7.4)p 0.012"
    assert row[5] == "not significant+4.2p 0.012, 3 more seeds"
    assert row[1] == "–"
    assert "What each has more than cim" in text
    assert "No verdict" in render(results(*TWO), [])
    alone = render(results(run("cim", 0, 30.0)), [])
    assert "One seed tells no miner from another" in alone


def test_anatomy_and_trace_have_charts_and_figures():
    text = render(
        results(*TWO) | {"anatomy": {"cim": ANATOMY}, "trace": {"cim": TRACE}}, []
    )
    page = Page(text)

    assert page.tables["kinds"][1] == ["part", "3 (30 %)", "+2.5"]
    assert "cim: part 2.5 points of mAP50" in text
    assert "cim: 41 percent" in text
    # Two bars, the loss, and three curves: no part has a value.
    assert page.tags.count("svg") == 6
    assert Page(render(results(*TWO), [])).tags.count("svg") == 1


def test_the_ledger_names_parts_and_warns():
    def text(**more):
        return " ".join(render(results(*TWO) | more, []).split())

    assert "tags (training), masks (source)" in text(
        supervision={"tags": ["training"], "masks": ["source"]},
        level="not image-level",
    )
    assert 'class="warning">These results are <strong>not image-level' in text(
        level="not image-level"
    )
    assert 'class="warning"' not in text(level="image-level")


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


def dissected(val, pipeline, predictions):
    proposals = [bag.proposals for bag in pipeline.bags(val.tagged.images)]
    return dissect(predictions, list(val.truths), proposals, val.tagged.classes)


def test_pictures_show_photo_oracle_miners_and_truth(drawn, tmp_path):
    val, pipeline = drawn
    predictions = [found_by(pipeline, i, [0.9, 0.5]) for i in val.tagged.images]
    pictures = {"cim": predictions, "mist": predictions}
    pipelines = dict.fromkeys(pictures, pipeline)
    found = comparison(*TWO, pictures=pictures, pipelines=pipelines, val=val)

    page = Page(found.report(tmp_path / "report.html").read_text())

    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]
    titles = [panel.title for panel in strips(val, pipelines, pictures, {})[0].panels]
    assert titles == ["image", "oracle", "cim", "mist", "ground truth"]
    links = [link for link in page.links if not link.startswith("#")]
    assert len(links) == len(val.tagged.images) * len(titles)
    assert all(link.startswith("data:image/jpeg;base64,") for link in links)
    assert (tmp_path / "report.html").stat().st_size < 4_000_000


def test_weak_predictions_are_not_drawn(drawn):
    val, pipeline = drawn

    def picture(*scores):
        images = val.tagged.images
        made = [found_by(pipeline, i, list(scores)) for i in images]
        shown = strips(val, {"cim": pipeline}, {"cim": made}, {})
        return shown[0].panels[2].uri

    assert picture(0.9, 0.2) == picture(0.9)
    assert picture(0.9, 0.5) != picture(0.9)
    assert picture(*[0.9] * 8) == picture(*[0.9] * 5)
    assert picture() == strips(val, {"": pipeline}, {}, {})[0].panels[0].uri


def test_pictures_stop_at_the_budget(drawn, monkeypatch):
    val, pipeline = drawn
    one = strips(val, {"": pipeline}, {}, {})[0]
    size = sum(len(panel.uri) for panel in one.panels)
    monkeypatch.setattr(gallery, "BUDGET", size + 10)

    assert len(strips(val, {"": pipeline}, {}, {})) == 1


def test_the_kinds_of_errors_are_told_and_kept(drawn, tmp_path):
    val, pipeline = drawn
    predictions = [found_by(pipeline, i, [0.9, 0.5]) for i in val.tagged.images]
    runs = [replace(one, anatomy=AVERAGED) for one in TWO]
    found = comparison(
        *runs,
        pictures={"cim": predictions},
        shown={"cim": Shown.of(dissected(val, pipeline, predictions))},
        pipelines={"cim": pipeline},
        val=val,
        verdict=JUDGED,
    )
    page = tmp_path / "report.html"

    found.save(tmp_path)
    written = page.read_text()
    page.unlink()

    assert rebuild(tmp_path) == page
    assert page.read_text() == written
    kept = json.loads((tmp_path / "report.json").read_text())
    panels = kept["pictures"][0]["panels"]
    assert panels[2]["strategy"] == "cim"
    assert panels[2]["kinds"]
    assert set(kept) == {"pictures"}
    assert "kinds" in Page(written).tables


def test_seeds_and_pseudo_instances_are_drawn_branch_by_branch(drawn, tmp_path):
    val, pipeline = drawn
    image = val.tagged.images[0]
    predictions = [found_by(pipeline, i, [0.9]) for i in val.tagged.images]
    given = {"label": [1, 2], "weight": [0.8, 0.1]}
    mined = [
        Mined(branch=0, count=7, index=[0, 1], seed=[5, 1], **given),
        Mined(branch=1, count=2, index=[0, 1], seed=[0, 1], **given),
    ]
    found = comparison(
        *TWO,
        pictures={"cim": predictions},
        shown={"cim": Shown(mined={image.id: mined})},
        pipelines={"cim": pipeline},
        val=val,
        verdict=JUDGED,
    )

    first, *others = strips(val, found.pipelines, found.pictures, found.shown)
    one, two = first.branches

    assert not any(strip.branches for strip in others)
    assert (one.title, one.strategy, one.branch) == ("cim, branch 0", "cim", 0)
    assert one.note == "2 of 7 pseudo instances, 1 grown from a seed"
    assert two.note == "2 pseudo instances"
    # The white line of the seed is the one difference between them.
    assert one.uri != two.uri
    found.save(tmp_path)
    written = (tmp_path / "report.html").read_text()
    assert rebuild(tmp_path).read_text() == written
    assert written.count('<details class="branches">') == 1
    assert "Of 1 images it can be opened" in written


def test_each_strategy_has_the_best_proposals_of_its_own_source(drawn):
    val, pipeline = drawn
    few = Pipeline(Settings.read(["source.nodes=2"], pipeline.settings), pipeline.cache)
    predictions = [found_by(few, i, [0.9]) for i in val.tagged.images]
    pipelines = {"all": pipeline, "few": few, "same": pipeline}
    pictures = dict.fromkeys(pipelines, predictions)

    panels = strips(val, pipelines, pictures, {})[0].panels

    assert [panel.title for panel in panels] == [
        *("image", "oracle, all, same", "oracle, few"),
        *("all", "few", "same", "ground truth"),
    ]
    assert panels[1].uri != panels[2].uri
    variants = [{"label": "a", "overrides": ["source.nodes=2"]}]
    page = render(results(*TWO) | {"variants": variants}, [])
    assert "chosen from the first miner" in page
    assert "chosen from these proposals" in render(results(*TWO), [])


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(ReportError, match=r"folder of a bench, it has no results.json"):
        rebuild(tmp_path)
    (tmp_path / "results.json").write_text("{")
    with pytest.raises(ReportError, match="is damaged"):
        rebuild(tmp_path)
    (tmp_path / "results.json").write_text("[]")
    with pytest.raises(ReportError, match="holds no object"):
        rebuild(tmp_path)
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(ReportError, match="another version"):
        rebuild(tmp_path)


def test_the_command_rebuilds_and_says_where(tmp_path):
    write_json(tmp_path / "results.json", results(*TWO))

    said = CliRunner().invoke(app, ["report", str(tmp_path)])

    assert said.exit_code == 0, said.output
    assert "report: " in said.output
    assert (tmp_path / "report.html").is_file()


def test_without_pictures_the_page_has_figures_alone(tmp_path):
    write_json(tmp_path / "results.json", results(*TWO))

    page = Page(rebuild(tmp_path).read_text())

    assert page.tables["results"][1][0] == "cim"
    assert "img" not in page.tags
    assert "script" not in page.tags


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)

STEPS = """
<script>
window.addEventListener("error", (event) => {
  document.title = "error: " + event.message;
});
const seen = [];
const visible = (selector) =>
  [...document.querySelectorAll(selector)].filter((one) => one.checkVisibility());
const look = () => {
  const figures = visible("figure[data-strategy]").length;
  const count = document.getElementById("count").textContent;
  seen.push([visible(".strip").length, figures, count]);
};
const choose = (name, value) =>
  document.querySelector(`input[name="${name}"][value="${value}"]`).click();
const taught = () => visible("figure[data-branch]").length;
const branches = [taught()];
document.querySelector(".branches summary").click(); branches.push(taught());
choose("branch", "1"); branches.push(taught(), visible(".strip").length);
choose("strategy", "mist"); branches.push(taught());
choose("branch", ""); choose("strategy", ""); branches.push(taught());
look();
choose("class", "disc"); look();
choose("class", ""); choose("strategy", "mist"); look();
choose("kind", "part"); look();
choose("kind", "duplicate"); look();
choose("strategy", ""); choose("kind", ""); look();
const wide = document.documentElement.scrollWidth <= window.innerWidth;
document.body.innerHTML = ""; 
document.body.append(JSON.stringify({seen, wide, branches, title: document.title}));
</script>
"""


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_filters_work_in_a_browser(tmp_path):
    def panel(strategy="", kinds=(), branch=None):
        return Panel(
            title=strategy or "image",
            uri="data:image/gif;base64,R0lGODlhAQABAAAAACw=",
            strategy=strategy,
            kinds=kinds,
            branch=branch,
        )

    pictures = [
        Strip(
            name="one",
            classes=("square",),
            panels=[panel(), panel("cim", ("found",)), panel("mist", ("part",))],
            branches=[
                panel(strategy, branch=branch)
                for strategy in ("cim", "mist")
                for branch in range(3)
            ],
        ),
        Strip(
            name="two",
            classes=("square", "disc"),
            panels=[panel(), panel("cim", ("part",)), panel("mist", ("found",))],
        ),
    ]
    pictures[0].panels[1] = panel("cim", ("found", "duplicate"))
    given = results(*TWO) | {"anatomy": {"cim": ANATOMY}, "trace": {"cim": TRACE}}
    file = tmp_path / "page.html"
    file.write_text(render(given, pictures).replace("</body>", STEPS + "</body>"))

    shown = subprocess.run(
        [
            CHROMIUM,
            *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
            *("--disable-background-networking", "--disable-component-update"),
            *("--disable-sync", "--disable-quic", "--enable-logging=stderr"),
            f"--user-data-dir={tmp_path / 'profile'}",
            "--window-size=500,900",
            "--dump-dom",
            file.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )

    found = json.loads(shown.stdout[shown.stdout.index('{"seen') :].split("<")[0])
    assert found["seen"] == [
        [2, 4, "2 images"],
        [1, 2, "1 image"],
        [2, 2, "2 images"],
        [1, 1, "1 image"],
        [0, 0, "0 images"],
        [2, 4, "2 images"],
    ]
    # Closed, open, of one branch (one image has any), of one strategy, all again.
    assert found["branches"] == [0, 6, 2, 1, 1, 6]
    assert found["wide"]
    assert not found["title"].startswith("error")
    assert "CONSOLE" not in shown.stderr
