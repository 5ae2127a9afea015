"""Serves the page on the loopback interface, behind a token."""

import io
import secrets
import socket
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median

import numpy as np
import uvicorn
from fastapi import FastAPI, Response
from nicegui import app, ui
from PIL import Image as Pillow
from pycocotools import mask as rle

from wsis._support.checks import InputWarning
from wsis._support.folders import unique
from wsis.geometry.drawing import SHARE
from wsis.geometry.frame import framed, sampled_mask
from wsis.geometry.polygons import polygons
from wsis.report._decisions import Decisions
from wsis.report.formats import Exported, Photo, Style, export
from wsis.report.found import by_doubt
from wsis.report.viewer._growth import Growth
from wsis.report.viewer._guard import HOME, Guard
from wsis.report.viewer._page import Page

THUMB = 96
"""Longer side of the pictures in the list, in pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """All that a page shows.

    Args:
        folder: of the predictions.
        images: folder of the photos; None takes the places that predictions tell.
        photos: by doubt, the most doubtful first.
        rows: of ``review.csv``, in the same order.
        classes: names of labels 1…C.
        decisions: about the instances of these photos.
        growth: tells what they have grown from.
        least: the score from which on instances are shown at first.
        best: the highest score of all.
    """

    folder: Path
    images: Path | None
    photos: tuple[Photo, ...]
    rows: tuple[dict[str, str], ...]
    classes: tuple[str, ...]
    decisions: Decisions
    growth: Growth
    least: float
    best: float

    @classmethod
    def of(
        cls,
        found: Path,
        *,
        images: Path | None = None,
        run: Path | None = None,
        device: str = "auto",
        cache: Path | None = None,
        least: float | None = None,
    ) -> "View":
        """Read a folder that ``wsis predict`` wrote, or the json in it.

        Without ``least``, it is 0.1, or less where most photos would show nothing.

        Raises:
            FileNotFoundError: if predictions or photos are missing.
            ValueError: if a file is damaged, or there is no photo.
        """
        folder = found.parent if found.is_file() else found
        doubted, classes = by_doubt(folder, images)
        if not doubted:
            raise ValueError(f"expected photos in {found}, it has none")
        photos = tuple(photo for photo, _ in doubted)
        best = [float(one.found.score.max()) for one in photos if len(one.found)] or [1]
        if least is None:
            least = min(0.1, SHARE * median(best))
        return cls(
            folder=folder,
            images=images,
            photos=photos,
            rows=tuple(row for _, row in doubted),
            classes=classes,
            decisions=Decisions(folder, photos),
            growth=Growth(run, folder, device, cache),
            least=least,
            best=max(best),
        )

    def picture(self, number: int, *, small: bool = False) -> bytes:
        """Return a photo in its frame, or small, as a JPEG."""
        pixels = Pillow.fromarray(framed(self.photos[number].read()))
        if small:
            pixels.thumbnail((THUMB, THUMB))
        file = io.BytesIO()
        pixels.save(file, "JPEG", quality=88)
        return file.getvalue()

    def outlines(self, number: int, size: tuple[int, int]) -> Callable[[int], str]:
        """Return what gives the path of an instance in a picture of a size, for SVG."""
        masks = self.photos[number].found.masks

        @cache
        def path(instance: int) -> str:
            mask = sampled_mask(masks[instance], size)
            return "".join(
                "M" + "L".join(f"{x:g} {y:g}" for x, y in ring.tolist()) + "Z"
                for ring in polygons(mask, tolerance=0.7)
            )

        return path

    def under(self, number: int, some: Sequence[int], x: float, y: float) -> int | None:
        """Return the smallest of some instances at a place of a photo, if any is."""
        masks = self.photos[number].found.masks
        height, width = self.photos[number].found.size
        if not (0 <= x < width and 0 <= y < height):
            return None
        box = np.array([[int(x), int(y), 1, 1]], float)
        pixel = rle.frPyObjects(box, height, width)
        there = [i for i in some if rle.area(rle.merge([dict(masks[i]), *pixel], True))]
        return min(there, key=lambda i: int(rle.area(dict(masks[i]))), default=None)

    def export(self, kind: str) -> tuple[Path, Exported, list[str]]:
        """Write accepted instances into a new folder beside the predictions.

        Returns:
            The folder, its counts, and warnings.

        Raises:
            ValueError: if nothing is accepted, or as ``wsis.report.export``.
        """
        taken = [one.name for one in self.folder.iterdir()]
        out = self.folder / unique([*taken, f"accepted-{kind}"])[-1]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", InputWarning)
            done = export(
                self.folder,
                out,
                kind,
                images=self.images,
                accepted=True,
                style=Style(tolerance=1.0 if kind == "labelstudio" else 0.0),
            )
        return out, done, [str(one.message) for one in caught]


def mount(view: View) -> Callable[[], None]:
    """Add the pictures of a view to NiceGUI's application; return its page."""

    def picture(number: int, small: bool = False) -> Response:
        if not 0 <= number < len(view.photos):
            return Response("no such photo\n", 404, media_type="text/plain")
        return Response(
            view.picture(number, small=small),
            media_type="image/jpeg",
            headers={"Cache-Control": "private, max-age=3600"},
        )

    # By number, never by path: only the photos of the predictions can be asked for.
    app.add_api_route("/picture/{number}", picture)

    def page() -> None:
        Page(view).build()

    return page


def serve(view: View, port: int, told: Callable[[str], None]) -> None:
    """Serve a view until Ctrl-C.

    Args:
        view: what is shown.
        port: 0 takes a free one.
        told: is called with the page's address once it can be opened.

    Raises:
        OSError: if the port is taken.
    """
    place = listening(port)
    token = secrets.token_urlsafe(24)
    around = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    ui.run_with(
        around,
        root=mount(view),
        title=f"wsis: {view.folder.name}",
        favicon="🔍",
        dark=None,
        reconnect_timeout=30.0,
        mount_path=f"/{token}",
        show_welcome_message=False,
    )
    config = uvicorn.Config(
        Guard(around, token),
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    with place, warnings.catch_warnings():
        # NiceGUI looks at every object there is, which some of torch's warn of.
        warnings.simplefilter("ignore", FutureWarning)
        told(f"http://{HOME}:{place.getsockname()[1]}/{token}/")
        uvicorn.Server(config).run(sockets=[place])


def listening(port: int) -> socket.socket:
    """Return a socket on the loopback interface.

    Raises:
        OSError: if the port is taken.
    """
    try:
        return socket.create_server((HOME, port))
    except OSError as error:
        raise OSError(
            f"port {port} of {HOME} cannot be used ({error.strerror}); choose another "
            "one: --port"
        ) from None
