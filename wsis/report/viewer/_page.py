"""The page: photos by doubt, the masks of one photo, and decisions about them."""

from html import escape
from typing import TYPE_CHECKING, Any

from nicegui import run, ui

from wsis._support.checks import many
from wsis.geometry.drawing import PALETTE
from wsis.geometry.frame import frame
from wsis.report._decisions import ACCEPTED, OPEN, REJECTED, Spot
from wsis.report.formats import FORMATS

if TYPE_CHECKING:
    from wsis.report.viewer.server import View

LISTED, MOST = 40, 40
"""Photos on a leaf of the list, and instances beside a photo."""

_LOOK = {
    ACCEPTED: 'fill-opacity="0.4" stroke-width="4"',
    OPEN: 'fill-opacity="0.25" stroke-width="2"',
    REJECTED: 'fill-opacity="0" stroke-width="2" stroke-dasharray="3 6"',
}
"""Masks on a photo by decision."""


# The colours of the report, in place of Quasar's.
_COLOURS = """
body { --q-primary: #0072b2 !important; --q-positive: #00704f !important;
  --q-negative: #b34700 !important; }
.body--dark { --q-primary: #56b4e9 !important; --q-positive: #4fd1a5 !important;
  --q-negative: #ff9d5c !important; }
.top.q-header { background: #005a8c; color: #fff !important; }
"""


class Page:
    """One open page; what it shows is its own, what is decided is everybody's."""

    def __init__(self, view: "View") -> None:
        self.view = view
        self.least = view.least
        self.classes: list[str] | None = None  # all
        self.pointing = False
        self.leaf = 1
        self.version = view.decisions.version
        self._open(0)

    def _open(self, photo: int) -> None:
        self.photo = photo
        self.found = self.view.photos[photo].found
        self.size = frame(self.found.size)
        self.outline = self.view.outlines(photo, self.size)
        self.chosen: int | None = None

    def build(self) -> None:
        """Lay the page out."""
        ui.add_css(_COLOURS)
        with ui.header().classes("items-center no-wrap gap-2 py-1 px-2 top"):
            menu = ui.button(icon="menu").props("flat round color=white")
            menu.props('aria-label="photos by doubt"')
            ui.label(self.view.folder.name).classes("text-base ellipsis")
            ui.space()
            self.counts()
            ui.button("Export", icon="download", on_click=self._export).props(
                "flat no-caps color=white"
            )
        with (
            ui.left_drawer(value=False)
            .props("width=290 bordered show-if-above")
            .classes("p-0") as drawer
        ):
            self.photos()
        menu.on_click(drawer.toggle)
        with ui.row().classes("w-full max-w-7xl mx-auto gap-4 items-start"):
            with ui.column().classes("grow basis-96 min-w-0 gap-2"):
                self.heading()
                self.picture = ui.interactive_image(on_mouse=self._clicked)
                self.picture.classes("w-full").mark("picture")
                self._tools()
            with ui.column().classes("grow basis-72 max-w-xl min-w-0 gap-1"):
                self.instances()
        self.dialogs = ui.element()
        ui.keyboard(self._key)
        ui.timer(1.0, self._look_again)
        self._show()

    # --- What is shown -------------------------------------------------------------

    @ui.refreshable_method
    def counts(self) -> None:
        """Count the decisions about all photos."""
        decisions = self.view.decisions
        points = sum(len(decisions.spots(i)) for i in range(len(self.view.photos)))
        for icon, number, what in (
            ("check", decisions.count(ACCEPTED), ACCEPTED),
            ("close", decisions.count(REJECTED), REJECTED),
            ("add_location_alt", points, "points"),
        ):
            with ui.row().classes("items-center gap-0 no-wrap").tooltip(what):
                ui.icon(icon)
                ui.label(str(number)).mark(f"count-{what}")

    @ui.refreshable_method
    def photos(self) -> None:
        """List the photos, the most doubtful first."""
        rows, decisions = self.view.rows, self.view.decisions
        leaves = -(-len(rows) // LISTED)
        if leaves > 1:
            leaf = ui.pagination(1, leaves, value=self.leaf)
            leaf.bind_value_to(self, "leaf").props("max-pages=5 direction-links")
            leaf.on_value_change(lambda: self.photos.refresh())
        with ui.list().props("separator").classes("w-full"):
            first = LISTED * (self.leaf - 1)
            for i, row in list(enumerate(rows))[first : first + LISTED]:
                with ui.item(on_click=lambda i=i: self._go(i)) as item:
                    item.mark(f"photo-{i}")
                    item.props(add="active" if i == self.photo else "")
                    with ui.item_section().props("avatar"):
                        ui.image(f"/picture/{i}?small=true").classes("w-12 h-12")
                    with ui.item_section():
                        ui.item_label(row["photo"]).classes("break-all").props(
                            "lines=2"
                        )
                        reasons = row["reasons"] or "nothing in particular"
                        ui.item_label(f"doubt {row['doubt']}: {reasons}").props(
                            "caption lines=3"
                        )
                    seen = any(one != OPEN for one in decisions.of(i))
                    if seen or decisions.spots(i):
                        with ui.item_section().props("side"):
                            ui.icon("check_circle", color="positive")

    @ui.refreshable_method
    def heading(self) -> None:
        """Name the photo, and why it is doubted."""
        row = self.view.rows[self.photo]
        with ui.row().classes("w-full items-center no-wrap gap-1"):
            self._turner("chevron_left", -1)
            with ui.column().classes("grow min-w-0 gap-0"):
                ui.label(row["photo"]).classes("font-medium break-all").mark("name")
                ui.label(
                    f"doubt {row['doubt']}: {row['reasons']}".rstrip(": ")
                ).classes("text-sm opacity-70")
            self._turner("chevron_right", 1)

    def _turner(self, icon: str, step: int) -> None:
        to = self.photo + step
        button = ui.button(icon=icon, on_click=lambda: self._go(to)).props("flat round")
        button.props(f'aria-label="{"next" if step > 0 else "previous"} photo"')
        button.set_enabled(0 <= to < len(self.view.photos))

    def _tools(self) -> None:
        with ui.row().classes("w-full items-center gap-x-4 gap-y-1"):
            self.said = ui.label().classes("text-sm w-28")
            best = max(self.least, self.view.best)
            slider = ui.slider(min=0, max=best, step=best / 100, value=self.least)
            slider.classes("grow basis-40").props('aria-label="lowest score"')
            slider.bind_value_to(self, "least").on_value_change(self._draw)
            slider.mark("least")
            kinds = ui.select(
                list(self.view.classes),
                label="classes",
                multiple=True,
                value=[],
                clearable=True,
            )
            kinds.props("dense use-chips").classes("grow basis-40").mark("classes")
            kinds.bind_value_to(self, "classes").on_value_change(self._draw)
        with ui.row().classes("w-full items-center gap-x-4 gap-y-1"):
            switch = ui.switch("Add points for missed objects of")
            switch.bind_value_to(self, "pointing").on_value_change(self._show)
            self.kind = ui.select(list(self.view.classes), value=self._usual())
            self.kind.props("dense").classes("grow basis-32").mark("kind")

    @ui.refreshable_method
    def instances(self) -> None:
        """List the instances that the photo shows, and its points."""
        shown, decisions = self._visible(), self.view.decisions.of(self.photo)
        with ui.row().classes("w-full items-center"):
            of = f"{len(shown)} of {many(len(self.found), 'instance')}"
            ui.label(of).classes("font-medium grow").mark("shown")
            every = "Accept all" if len(shown) <= MOST else f"Accept these {MOST}"
            ui.button(every, on_click=lambda: self._decide_all(shown[:MOST])).props(
                "flat dense no-caps"
            ).set_enabled(bool(shown))
        for i in shown[:MOST]:
            self._instance(i, decisions[i])
        if len(shown) > MOST:
            ui.label(f"{len(shown) - MOST} more: raise the lowest score").classes(
                "text-sm opacity-70"
            )
        elif not shown and len(self.found):
            ui.label("none from this score on: lower it").classes("text-sm opacity-70")
        for spot in self.view.decisions.spots(self.photo):
            with ui.row().classes("w-full items-center no-wrap gap-2 px-2"):
                ui.icon("add_location_alt").style(f"color: {self._colour(spot.name)}")
                ui.label(f"missed: {spot.name} at {spot.x:.0f}, {spot.y:.0f}").classes(
                    "grow min-w-0 break-words"
                )
                ui.button(
                    icon="delete", on_click=lambda spot=spot: self._unpoint(spot)
                ).props('flat round dense aria-label="remove the point"')

    def _instance(self, i: int, decision: str) -> None:
        """Show a line with what can be done about an instance."""
        chosen = " bg-primary/15" if i == self.chosen else ""
        with ui.row().classes(
            f"w-full items-center no-wrap gap-1 px-2 rounded{chosen}"
        ) as line:
            line.props(f"id=instance-{i}").on("click", lambda: self._choose(i))
            colour = self._colour(self._name(i))
            ui.element("div").classes("w-3 h-3 shrink-0 rounded-sm").style(
                f"background: {colour}"
            )
            label = ui.label(self._caption(i)).classes("grow min-w-0 break-words")
            label.classes("line-through opacity-60" if decision == REJECTED else "")
            for icon, to, tint in (
                ("check", ACCEPTED, "positive"),
                ("close", REJECTED, "negative"),
            ):
                on = decision == to
                ui.button(
                    icon=icon,
                    on_click=lambda to=to, on=on: self._decide(i, OPEN if on else to),
                ).props(
                    f"round dense color={tint} {'' if on else 'flat'} "
                    f'aria-label="{"accept" if to == ACCEPTED else "reject"}" '
                    f"aria-pressed={str(on).lower()}"
                ).mark(f"{to}-{i}")
            ui.button(icon="account_tree", on_click=lambda: self._grow(i)).props(
                'flat round dense aria-label="what it grew from"'
            ).tooltip("what it grew from").mark(f"grow-{i}")

    def _draw(self) -> None:
        """Draw masks, the best on top, and points over the photo."""
        decisions = self.view.decisions.of(self.photo)
        drawn = []
        for i in reversed(self._visible()):
            colour = self._colour(self._name(i))
            look = _LOOK[decisions[i]]
            if i == self.chosen:
                drawn.append(
                    f'<path d="{self.outline(i)}" fill="none" stroke="white" '
                    'stroke-width="8" vector-effect="non-scaling-stroke"/>'
                )
            drawn.append(
                f'<path d="{self.outline(i)}" fill="{colour}" stroke="{colour}" {look} '
                f'fill-rule="evenodd" vector-effect="non-scaling-stroke">'
                f"<title>{escape(self._caption(i))}</title></path>"
            )
        down, across = (a / b for a, b in zip(self.size, self.found.size, strict=True))
        radius = max(4, max(self.size) // 70)
        for spot in self.view.decisions.spots(self.photo):
            drawn.append(
                f'<circle cx="{spot.x * across:.1f}" cy="{spot.y * down:.1f}" '
                f'r="{radius}" fill="{self._colour(spot.name)}" stroke="white" '
                'stroke-width="2" vector-effect="non-scaling-stroke"/>'
            )
        self.picture.set_content("".join(drawn))
        self.said.set_text(f"score from {self.least:.3g}")
        self.instances.refresh()

    def _show(self) -> None:
        self.picture.set_source(f"/picture/{self.photo}")
        self.picture.style(f"cursor: {'crosshair' if self.pointing else 'pointer'}")
        self._draw()

    def _visible(self) -> list[int]:
        """Return the places of the instances that are shown, best first."""
        scores = self.found.score.tolist()
        return [
            i
            for i, score in enumerate(scores)
            if score >= self.least
            and (not self.classes or self._name(i) in self.classes)
        ]

    def _name(self, i: int) -> str:
        return self.found.classes[int(self.found.label[i]) - 1]

    def _usual(self) -> str:
        """Return the class of the photo that is doubted most, or any."""
        name = self.view.rows[self.photo].get("class", "")
        return name if name in self.view.classes else self.view.classes[0]

    def _caption(self, i: int) -> str:
        return f"{self._name(i)} {float(self.found.score[i]):.2g}"

    def _colour(self, name: str) -> str:
        number = self.view.classes.index(name) if name in self.view.classes else 0
        return "#{:02x}{:02x}{:02x}".format(*PALETTE[number % len(PALETTE)])

    # --- What is done --------------------------------------------------------------

    def _go(self, photo: int) -> None:
        if 0 <= photo < len(self.view.photos):
            self._open(photo)
            self.kind.value = self._usual()
            self.leaf = photo // LISTED + 1
            self._refresh()

    def _refresh(self) -> None:
        self.version = self.view.decisions.version
        self.counts.refresh()
        self.photos.refresh()
        self.heading.refresh()
        self._show()

    def _look_again(self) -> None:
        """Show what other pages have decided."""
        self.view.decisions.read()
        if self.view.decisions.version != self.version:
            self._refresh()

    def _clicked(self, event: Any) -> None:
        """Add a point, or choose the smallest instance under the mouse."""
        down, across = (a / b for a, b in zip(self.found.size, self.size, strict=True))
        x, y = event.image_x * across, event.image_y * down
        if self.pointing:
            height, width = self.found.size
            x, y = min(max(x, 0.0), width - 1.0), min(max(y, 0.0), height - 1.0)
            self.view.decisions.point(self.photo, Spot(x=x, y=y, name=self.kind.value))
            self._refresh()
        else:
            self._choose(self.view.under(self.photo, self._visible(), x, y))

    def _choose(self, i: int | None) -> None:
        self.chosen = i
        self._draw()
        if i is not None:
            ui.run_javascript(
                f'document.getElementById("instance-{i}")'
                '?.scrollIntoView({block: "nearest"})'
            )

    def _unpoint(self, spot: Spot) -> None:
        self.view.decisions.point(self.photo, spot, there=False)
        self._refresh()

    def _decide(self, i: int, decision: str) -> None:
        self.view.decisions.decide(self.photo, i, decision)
        self._refresh()

    def _decide_all(self, shown: list[int]) -> None:
        there = self.view.decisions.of(self.photo)
        left = [i for i in shown if there[i] == OPEN]
        self.view.decisions.decide_all(self.photo, left, ACCEPTED)
        self._refresh()

    def _key(self, event: Any) -> None:
        if not event.action.keydown or event.modifiers.ctrl or event.modifiers.meta:
            return
        if event.key.arrow_left or event.key.arrow_right:
            self._go(self.photo + (1 if event.key.arrow_right else -1))
        elif event.key in ("a", "r") and self.chosen is not None:
            self._decide(self.chosen, ACCEPTED if event.key == "a" else REJECTED)

    async def _grow(self, i: int) -> None:
        """Show what an instance has grown from, branch by branch."""
        with (
            self.dialogs,
            ui.dialog(value=True) as dialog,
            ui.card().classes("max-w-5xl"),
        ):
            ui.label("What it grew from").classes("text-lg")
            ui.label(
                "Each branch learns the pseudo instance that the scores of the branch "
                "before it give: the seed (inner outline) and what it has grown to. "
                "Here is the one that is nearest to this mask."
            ).classes("text-sm opacity-70")
            waiting = ui.spinner(size="lg")
            row = ui.row().classes("gap-4")
            ui.button("Close", on_click=dialog.close).props("flat no-caps")
        try:
            photo = self.view.photos[self.photo]
            stages = await run.io_bound(self.view.growth.stages, photo, i)
        except (ValueError, LookupError, OSError) as error:
            with row:
                ui.label(str(error)).mark("why-not")
            return
        finally:
            waiting.delete()
        with row:
            for stage in stages or []:
                with ui.column().classes("gap-1 w-64 max-w-full"):
                    ui.label(stage.title).classes("font-medium")
                    if stage.uri is not None:
                        ui.image(stage.uri).classes("w-full").mark("stage")
                    ui.label(stage.note).classes("text-sm opacity-70")

    def _export(self) -> None:
        """Ask for a format, and write what is accepted."""
        with ui.dialog(value=True) as dialog, ui.card():
            ui.label("Export accepted instances").classes("text-lg")
            kind = ui.select(list(FORMATS), value="coco", label="format").classes(
                "w-56"
            )
            said = ui.label().classes("max-w-md break-words").mark("exported")

            async def write() -> None:
                button.disable()
                try:
                    done = await run.io_bound(self.view.export, kind.value)
                except (ValueError, LookupError, OSError) as error:
                    said.set_text(str(error))
                else:
                    if done is not None:
                        out, counts, notes = done
                        said.set_text(" · ".join([f"{counts.said}: {out}", *notes]))
                finally:
                    button.enable()

            with ui.row():
                button = ui.button("Write", on_click=write).props("no-caps")
                ui.button("Close", on_click=dialog.close).props("flat no-caps")
