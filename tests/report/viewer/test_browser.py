"""The page in a headless Chromium, with real clicks."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from wsis.report._decisions import ACCEPTED, OPEN, POINTS, REJECTED, Decisions
from wsis.report.formats import photos_of

pytest.importorskip("nicegui", reason="the extra 'viewer' is not installed")
playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed"
)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium is installed (Debian's package chromium)"
)
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update"),
    "--disable-sync",
)
WAIT = 60_000  # ms; a machine may be busy


@pytest.fixture
def address(found):
    """The address that wsis show prints; it ends by Ctrl-C."""
    command = [sys.executable, "-m", "wsis", "show", str(found)]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as server:
        yield re.search(r"http://127\.0\.0\.1:\d+/\S+/", server.stdout.readline())[0]
        server.send_signal(2)
        said = server.communicate(timeout=60)[0]
        assert "wsis export" in said
        assert server.returncode == 0


@pytest.fixture
def browser(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with playwright.sync_playwright() as driver:
        one = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield one
        one.close()


def test_photos_are_looked_through_decided_and_exported(found, address, browser):
    asked, problems = [], []
    page, other = browser.new_page(), browser.new_page()
    for one in (page, other):
        one.set_default_timeout(WAIT)
        one.on("request", lambda request: asked.append(request.url))
        one.on("websocket", lambda socket: asked.append(socket.url))
        one.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(address)
    page.get_by_label("next photo").click()
    page.get_by_text("2 of 2 instances").wait_for()
    assert page.locator("#instance-0").inner_text().startswith("<b>cat</b> 0.6")

    # A mask is chosen, accepted by its button, and the other one rejected by a key.
    page.get_by_label("accept", exact=True).first.click()
    page.locator("[aria-label=accept][aria-pressed=true]").wait_for()
    page.locator("#instance-1").get_by_text("dog 0.4").click()
    page.keyboard.press("r")
    page.locator("[aria-label=reject][aria-pressed=true]").wait_for()
    page.locator("svg path[stroke-dasharray]").wait_for(state="attached")

    # Another page shows it, and adds a point with a click on the photo.
    other.goto(address)
    other.get_by_label("next photo").click()
    other.locator("[aria-label=reject][aria-pressed=true]").wait_for()
    other.get_by_text("Add points for missed objects of").click()
    box = other.get_by_role("main").locator("img").bounding_box()
    other.mouse.click(box["x"] + box["width"] / 3, box["y"] + box["height"] / 4)
    other.get_by_text("missed: dog at 10, 5").wait_for()
    page.get_by_text("missed: dog at 10, 5").wait_for()

    page.get_by_role("button", name="Export").click()
    page.get_by_role("button", name="Write").click()
    page.get_by_text("1 instance on 1 photo").wait_for()

    photos = photos_of(found, None)[0]
    decisions = [Decisions(found, photos).of(i) for i in range(3)]
    assert decisions == [[OPEN, OPEN], [ACCEPTED, REJECTED], []]
    assert re.search(
        r"\n\.\./two/a\.png,(9\.\d|10|10\.\d),(4\.\d|5|5\.\d),dog\n",
        (found / POINTS).read_text(),
    )
    assert (found / "accepted-coco/annotations.json").is_file()
    # Nothing is asked of any other place, or without the token.
    secret = address.removeprefix("http")
    others = [url for url in asked if not url.startswith(("data:", "blob:"))]
    assert others
    assert all(url.startswith((f"http{secret}", f"ws{secret}")) for url in others)
    assert problems == []


def test_a_phone_has_room_for_all(address, browser):
    page = browser.new_page(viewport={"width": 360, "height": 740})
    page.set_default_timeout(WAIT)
    page.goto(address)
    page.get_by_label("next photo").click()
    page.get_by_text("2 of 2 instances").wait_for()

    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.get_by_label("photos by doubt").click()
    page.get_by_text("one/a.png").click()
    page.locator("#instance-0").get_by_text("dog 0.8").wait_for()
