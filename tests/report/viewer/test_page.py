"""The page, without a browser: what it shows, and what its buttons do."""

import asyncio
import gc
import json
import signal

import pytest
from PIL import Image as Pillow

from wsis.report._decisions import ACCEPTED, OPEN, POINTS, REJECTED, Decisions

pytest.importorskip("nicegui", reason="the extra 'viewer' is not installed")

from nicegui.testing import user_simulation

from wsis.report import REVIEW, ReportError
from wsis.report.viewer import View
from wsis.report.viewer._page import Page
from wsis.report.viewer.server import mount

pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)


def visit(view, *steps):
    """Open the page and take steps on it, one after the other."""

    async def run():
        async with user_simulation(lambda: Page(view).build()) as user:
            mount(view)
            await user.open("/")
            for step in steps:
                done = step(user)
                if done is not None:
                    await done

    loop = asyncio.new_event_loop()
    handler = signal.getsignal(signal.SIGINT)
    try:
        loop.run_until_complete(asyncio.wait_for(run(), 60))
    finally:
        # NiceGUI leaves tasks that do not end when they are told to.
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left, timeout=1))
        loop.close()
        gc.collect()  # what is left of them is told here, not in another test
        signal.signal(signal.SIGINT, handler)


def click(mark):
    async def act(user):
        await user.should_see(marker=mark, retries=60)
        user.find(marker=mark).click()

    return act


def press(text):
    async def act(user):
        await user.should_see(text, retries=60)
        user.find(text).click()

    return act


def click_at(x, y):
    def act(user):
        args = {"mouse_event_type": "click", "image_x": x, "image_y": y}
        user.find(marker="picture").trigger("mouse", args)

    return act


def see(*texts):
    async def look(user):
        for text in texts:
            await user.should_see(text, retries=60)

    return look


def drawn(*parts):
    async def look(user):
        [picture] = user.find(marker="picture").elements
        for _ in range(50):
            if all(part in picture.content for part in parts):
                return
            await asyncio.sleep(0.02)
        raise AssertionError(picture.content)

    return look


async def gone(user):
    await user.should_not_see("missed: dog")


def test_photos_come_by_doubt_with_their_reasons(found):
    view = View.of(found)

    assert [row["photo"] for row in view.rows] == ["b.png", "two/a.png", "one/a.png"]
    visit(view, see("b.png", "doubt 1.00: no instance of owl", "0 of 0 instances"))


def test_buttons_decide_and_take_back_and_names_are_text(found):
    view = View.of(found)
    visit(
        view,
        click("photo-1"),
        see("2 of 2 instances", "<b>cat</b> 0.6", "dog 0.4"),
        drawn("<title>&lt;b&gt;cat&lt;/b&gt; 0.6</title>", "<title>dog 0.4</title>"),
        click("accepted-0"),
        drawn('stroke-width="4"'),
        click("rejected-1"),
        drawn("stroke-dasharray"),
    )
    assert Decisions(found, view.photos).of(1) == [ACCEPTED, REJECTED]

    visit(
        View.of(found),
        click("photo-1"),
        see("dog 0.4"),
        click("accepted-0"),
        drawn('stroke-width="2"'),
    )
    assert Decisions(found, view.photos).of(1) == [OPEN, REJECTED]


def test_a_click_chooses_an_instance_or_sets_a_point(found):
    view = View.of(found)
    visit(
        view,
        click("photo-1"),
        see("2 of 2"),
        click_at(12, 8),
        drawn('fill="none" stroke="white"'),
        press("Add points for missed objects of"),
        click_at(29.99, 3),
        see("missed: dog at 29, 3"),
        drawn("<circle"),
    )

    lines = (found / POINTS).read_text().splitlines()
    assert lines == ["file,x,y,class", "../two/a.png,29,3,dog"]
    visit(View.of(found), click("photo-1"), see("missed: dog"), press("delete"), gone)
    assert not (found / POINTS).exists()


def test_what_another_page_decides_is_seen(found):
    view = View.of(found)

    def elsewhere(user):
        Decisions(found, view.photos).decide(1, 0, REJECTED)

    async def later(user):
        await asyncio.sleep(1.2)

    visit(
        view, click("photo-1"), see("dog"), elsewhere, later, drawn("stroke-dasharray")
    )


def test_the_score_and_the_classes_choose_what_is_shown(found):
    view = View.of(found, least=0.5)
    visit(view, click("photo-1"), see("1 of 2 instances"))
    assert view.best == pytest.approx(0.8)
    assert View.of(found).least == 0.1


def test_accepting_all_takes_no_more_than_the_page_lists(found, monkeypatch):
    monkeypatch.setattr("wsis.report.viewer._page.MOST", 1)
    view = View.of(found)
    visit(view, click("photo-1"), press("Accept these 1"), see("1 more: raise"))

    assert Decisions(found, view.photos).of(1) == [ACCEPTED, OPEN]


def test_what_is_accepted_is_written_beside_the_predictions(found):
    view = View.of(found)

    def accept(user):
        view.decisions.decide(1, 0, ACCEPTED)

    visit(
        view,
        press("Export"),
        press("Write"),
        see("expected decisions.jsonl"),
        accept,
        press("Write"),
        see("1 instance on 1 photo"),
        press("Write"),
        see("accepted-coco-2"),
    )

    content = json.loads((found / "accepted-coco/annotations.json").read_text())
    [one] = content["annotations"]
    assert "score" not in one
    assert [image["file_name"] for image in content["images"]] == ["a-2.png"]


def test_growth_without_a_run_says_what_to_do(found):
    visit(
        View.of(found),
        click("photo-1"),
        see("dog"),
        click("grow-0"),
        see("it is not known or has moved: wsis show"),
    )


def test_nothing_but_the_photos_is_served(found):
    async def ask(user):
        for path, status in (
            ("/picture/0", 200),
            ("/picture/2?small=true", 200),
            ("/picture/3", 404),
            ("/picture/-1", 404),
            ("/picture/a.png", 422),
        ):
            answer = await user.http_client.get(path)
            assert answer.status_code == status, path
            assert answer.content.startswith(b"\xff\xd8") == (status == 200)
        for path in ("/picture/..%2f..%2fb.png", "/../b.png", "/found/review.csv"):
            answer = await user.http_client.get(path)
            assert answer.headers["content-type"].startswith("text/html")

    visit(View.of(found), ask)


def test_refuses_what_has_no_photos_or_has_lost_them(found, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is none; .*found has one"):
        View.of(tmp_path)
    (tmp_path / "b.png").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"not where .*\(1 of 3\): b.png.*--images"
    ):
        View.of(found)
    (found / REVIEW).unlink()
    Pillow.new("RGB", (30, 20)).save(tmp_path / "b.png")
    with pytest.raises(ReportError, match=r"review.csv, there is none; predict"):
        View.of(found)
