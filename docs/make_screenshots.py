"""Takes the pictures of docs/own-photos.md: the page of wsis show, and the report.

wsis train --out run
python docs/make_screenshots.py run docs/images

Photos are drawn scenes. Needs Chromium and the extras ``viewer`` and ``test``.
"""

import argparse
import io
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image as Pillow
from playwright.sync_api import Page, sync_playwright

from wsis import Scenes
from wsis._support.files import write_csv

SIZE = {"width": 1200, "height": 720}


def main() -> None:
    """Write ``viewer.webp`` and ``report.webp`` into a folder."""
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    run = options.run.resolve()
    with tempfile.TemporaryDirectory() as place, sync_playwright() as driver:
        found = predicted(run, Path(place))
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        flags = ["--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        browser = driver.chromium.launch(executable_path=chromium, args=flags)
        page = browser.new_page(viewport=SIZE)
        page.set_default_timeout(120_000)
        with served(found) as address:
            page.goto(address)
            page.get_by_label("accept", exact=True).first.click()
            page.locator("[aria-label=accept][aria-pressed=true]").wait_for()
            page.locator("#instance-0").click()
            page.locator("svg path[stroke=white]").wait_for(state="attached")
            write(page, options.folder / "viewer.webp")
        page.goto((found / "report.html").as_uri())
        heading = page.get_by_text("Photos, the most doubtful first")
        heading.evaluate("heading => heading.scrollIntoView()")
        write(page, options.folder / "report.webp")
        browser.close()


def predicted(run: Path, place: Path) -> Path:
    """Write the validation scenes and their tags; return what a run finds on them."""
    val = Scenes(train_images=1, val_images=8).val().tagged
    rows = [("file", "tags")]
    (place / "photos").mkdir()
    for number, image in enumerate(val.images, 1):
        name = f"scene-{number}.png"
        Pillow.fromarray(image.load()).save(place / "photos" / name)
        tags = (val.classes[i] for i in image.tags.nonzero().flatten().tolist())
        rows.append((name, ";".join(tags)))
    write_csv(place / "photos/tags.csv", rows)
    predict = ["predict", "photos", "--run", str(run), "--out", "found"]
    for words in (predict, ["report", "found"]):
        subprocess.run([sys.executable, "-m", "wsis", *words], cwd=place, check=True)
    return place / "found"


@contextmanager
def served(found: Path) -> Iterator[str]:
    """Serve the page of predictions; give its address."""
    command = [sys.executable, "-u", "-m", "wsis", "show", str(found)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = re.search(r"http://\S+/", server.stdout.readline())
        assert address is not None
        try:
            yield address[0]
        finally:
            server.send_signal(signal.SIGINT)


def write(page: Page, path: Path) -> None:
    """Write what the browser shows, once all pictures are there."""
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(2000)
    with Pillow.open(io.BytesIO(page.screenshot())) as picture:
        picture.save(path, quality=80, method=6)
    print(f"{path}: {path.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main()
