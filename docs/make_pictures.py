"""Draws the README's picture from the report of a bench on the drawn scenes.

python docs/make_pictures.py wsis-bench/report.html docs/images/scenes.jpg
"""

import argparse
import base64
import io
import re
from pathlib import Path

import numpy as np
from PIL import Image

from wsis.geometry.drawing import sheet


def main() -> None:
    """Tiles the pictures of the report's first images, one image a row."""
    parser = argparse.ArgumentParser()
    parser.add_argument("report", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--rows", type=int, default=4)
    options = parser.parse_args()
    found = re.findall(
        # What branches are taught is left out.
        r'src="data:image/jpeg;base64,([\w+/=]+)" alt="([^"]+): (?![^"]+, branch \d)',
        options.report.read_text(),
    )
    names = list(dict.fromkeys(name for _, name in found))[: options.rows]
    tiles = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(code))))
        for code, name in found
        if name in names
    ]
    options.picture.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(sheet(tiles, len(tiles) // len(names)))
    picture.save(options.picture, optimize=True, quality=85)


if __name__ == "__main__":
    main()
