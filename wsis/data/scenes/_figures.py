"""The classes of the drawn scenes: a telling part and a plain rest each."""

import math
from collections.abc import Callable, Mapping

import numpy as np

from wsis.data.scenes._canvas import Layer, Number, Paint, rgb

Figure = Callable[[Layer, Paint, np.random.Generator], None]

BLACK, WHITE, ORANGE, YELLOW = map(rgb, ("1c1c24", "f6f3ea", "f0891e", "ffd93b"))
NEUTRALS = tuple(
    map(rgb, ("8c7f74", "b9a98f", "6b6f78", "a2a39a", "7d6a55", "c9c0b0", "5b5f57"))
)
"""The plain rests of all classes share these."""


def _one(generator: np.random.Generator, *colours: str) -> Paint:
    return rgb(colours[generator.integers(len(colours))])


def _cactus(layer: Layer, plain: Paint, generator: np.random.Generator) -> None:
    """A column with two arms; the flower tells."""
    width, height = generator.uniform(0.27, 0.36), generator.uniform(-0.35, -0.25)
    for side in (-1, 1):
        y, up = generator.uniform(0.1, 0.4), generator.uniform(0.3, 0.45)
        elbow, tip = (side * 0.64, y), (side * 0.64, y - up)
        arm = np.minimum(layer.bar((0, y), elbow, 0.14), layer.bar(elbow, tip, 0.14))
        layer.fill(arm, plain * 0.95)
    layer.fill(layer.bar((0, 0.65), (0, height), width), plain)
    petal = _one(generator, "e8308c", "d81e6a", "f0569a")
    turn = generator.uniform(0, 1)
    for k in range(7):
        angle = turn + k * 2 * math.pi / 7
        x, y = 0.22 * math.cos(angle), height - 0.32 + 0.22 * math.sin(angle)
        layer.fill(layer.ellipse(x, y, 0.22, 0.14, angle), petal, round=0.08)
    layer.fill(layer.ellipse(0, height - 0.32, 0.13, 0.13), YELLOW)


def _fish(layer: Layer, plain: Paint, generator: np.random.Generator) -> None:
    """A plain belly, fins and tail; the banded head tells."""
    height = generator.uniform(0.42, 0.52)
    tail = np.minimum(
        layer.polygon((-0.4, 0), (-1, -0.48), (-0.82, 0.08)),
        layer.polygon((-0.4, 0), (-0.82, -0.08), (-1, 0.48)),
    )
    fins = np.minimum(
        layer.ellipse(-0.1, -height, 0.42, 0.16, 0.15),
        layer.ellipse(-0.05, height, 0.25, 0.14, -0.2),
    )
    layer.fill(np.minimum(tail, fins), plain * 0.85)
    body = layer.ellipse(0.12, 0, 0.84, height)
    layer.fill(body, plain)
    head = np.maximum(body, layer.ellipse(0.85, 0, 0.58, 0.8))
    bands = layer.waves(layer.x - 0.03, 0.27)
    blue = _one(generator, "1f6fd6", "1593c9", "2f55c4")
    layer.fill(head, layer.mix(blue, rgb("ffc22e"), bands))
    _eye(layer, 0.66, -0.12, 0.13)


def _lantern(layer: Layer, plain: Paint, generator: np.random.Generator) -> None:
    """A plain frame with roof, base and ring; the glowing panes tell."""
    wide, low = generator.uniform(0.38, 0.48), generator.uniform(0.38, 0.48)
    layer.fill(np.abs(layer.ellipse(0, -0.78, 0.18, 0.2)) - 0.05, plain * 0.85)
    roof, case = wide + 0.28, wide + 0.14
    frame = np.minimum(
        layer.polygon((-0.2, -0.75), (0.2, -0.75), (roof, -0.26), (-roof, -0.26)),
        layer.polygon((-case, -0.27), (case, -0.27), (roof, 0.92), (-roof, 0.92)),
    )
    layer.fill(frame, plain)
    panes = layer.polygon((-wide, -0.2), (wide, -0.2), (wide, low), (-wide, low))
    glow = np.exp(-6 * (layer.x**2 + (layer.y - 0.1) ** 2))[..., None]
    fire = _one(generator, "ff9d1e", "ffb01f", "ff8422")
    bars = np.minimum(
        np.abs(np.abs(layer.x) - wide * 0.34) - 0.03, np.abs(layer.y - 0.1) - 0.03
    )
    light = fire + (rgb("fff6b8") - fire) * glow
    layer.fill(panes, layer.mix(light, rgb("8a4a12"), bars), round=0.04)


def _mushroom(layer: Layer, plain: Paint, generator: np.random.Generator) -> None:
    """A plain stem; the spotted cap tells."""
    top, foot = generator.uniform(0.3, 0.38), generator.uniform(0.46, 0.58)
    stem = layer.polygon((-top, -0.4), (top, -0.4), (foot, 0.8), (-foot, 0.8))
    layer.fill(np.minimum(stem, layer.ellipse(0, 0.8, foot * 1.05, 0.16)), plain)
    layer.fill(layer.ellipse(0, -0.08, top * 1.5, 0.1), plain * 0.85)
    cap = np.maximum(
        layer.ellipse(0, -0.2, 0.78, generator.uniform(0.72, 0.82)),
        layer.ellipse(0, -0.95, 1.2, 0.75),
    )
    red = _one(generator, "d8232a", "c41e3a", "e23b1e")
    layer.fill(cap, layer.mix(red, rgb("f7cdb4"), layer.spots(0.34, 0.1)))


def _owl(layer: Layer, plain: Paint, generator: np.random.Generator) -> None:
    """A plain body with wings; the face tells."""
    wide = generator.uniform(0.52, 0.62)
    layer.fill(layer.bar((0, -0.15), (0, 0.98 - wide), wide), plain)
    for side in (-1, 1):
        wing = layer.ellipse(side * wide * 0.95, 0.3, 0.2, 0.52, -side * 0.1)
        layer.fill(wing, plain * 0.84)
    face = layer.ellipse(0, -0.5, 0.58, 0.36)
    for side in (-1, 1):
        tip, outer = (side * 0.48, -0.98), (side * 0.52, -0.5)
        ear = layer.polygon(tip, outer, (side * 0.1, -0.7))
        face = np.minimum(face, ear)
    layer.fill(face, _one(generator, "6a3d9a", "5c2f8a", "7a4fb0"))
    for side in (-1, 1):
        for radius, colour in ((0.23, rgb("f3e3a0")), (0.18, ORANGE), (0.09, BLACK)):
            eye = layer.ellipse(side * 0.25, -0.5, radius, radius)
            layer.fill(eye, colour, round=0.03)
    layer.fill(layer.polygon((-0.09, -0.38), (0.09, -0.38), (0, -0.18)), YELLOW)


def _parrot(layer: Layer, plain: Paint, generator: np.random.Generator) -> None:
    """A plain body, wing and tail; the head with beak and crest tells."""
    lean = generator.uniform(0.2, 0.4)
    layer.fill(layer.bar((-0.15, 0.3), (-lean - 0.35, 0.85), 0.16), plain * 0.8)
    layer.fill(layer.ellipse(0, 0.2, 0.5, 0.66, lean), plain)
    layer.fill(layer.ellipse(-0.16, 0.3, 0.22, 0.48, lean + 0.1), plain * 0.86)
    for k in range(3):
        crest = layer.bar((0.12, -0.62), (-0.2 + 0.17 * k, -0.93), 0.07)
        layer.fill(crest, rgb("e8272f"), round=0.05)
    hook = -layer.ellipse(0.48, -0.14, 0.2, 0.2)
    beak = np.maximum(layer.ellipse(0.54, -0.42, 0.24, 0.2), hook)
    layer.fill(beak, ORANGE, round=0.06)
    green = _one(generator, "25b34b", "3cb521", "18a865")
    cheek = layer.ellipse(0.34, -0.32, 0.2, 0.14)
    head = layer.ellipse(0.2, -0.45, 0.36, 0.36)
    layer.fill(head, layer.mix(green, rgb("f7e733"), cheek))
    _eye(layer, 0.3, -0.54, 0.12)


def _robot(layer: Layer, plain: Paint, generator: np.random.Generator) -> None:
    """A plain trunk with arms and legs; the head with its screen tells."""
    wide, reach = generator.uniform(0.4, 0.5), generator.uniform(0.35, 0.6)
    for side in (-1, 1):
        hand, hip = (side * (wide + 0.24), reach), side * wide * 0.5
        arm = layer.bar((side * (wide + 0.04), 0.02), hand, 0.11)
        leg = layer.bar((hip, 0.6), (hip, 0.85), 0.14)
        layer.fill(np.minimum(arm, leg), plain * 0.85)
    trunk = (-wide, -0.22), (wide, -0.22), (wide, 0.65), (-wide, 0.65)
    layer.fill(layer.polygon(*trunk), plain)
    layer.fill(layer.bar((0, -0.6), (0, -0.9), 0.04), plain * 0.7)
    layer.fill(layer.ellipse(0, -0.93, 0.08, 0.08), rgb("ff3b30"))
    case = _one(generator, "17c3c9", "22b8e0", "12cfae")
    lamp = rgb("d7ff6b")
    for width, height, colour in ((0.46, 0.27, case), (0.36, 0.18, rgb("123c4a"))):
        left, right, top, low = -width, width, -0.47 - height, -0.47 + height
        box = layer.polygon((left, top), (right, top), (right, low), (left, low))
        layer.fill(box, colour, round=0.06)
    for side in (-1, 1):
        layer.fill(layer.ellipse(side * 0.17, -0.52, 0.08, 0.08), lamp)
    layer.fill(layer.bar((-0.17, -0.37), (0.17, -0.37), 0.03), lamp)


def _snail(layer: Layer, plain: Paint, generator: np.random.Generator) -> None:
    """A plain foot, neck and horns; the shell's spiral tells."""
    foot = layer.polygon((-1, 0.72), (-0.6, 0.2), (0.7, 0.2), (0.8, 0.72))
    neck = layer.bar((0.62, 0.45), (0.72, -0.12), 0.22)
    horns = np.minimum(
        layer.bar((0.66, -0.15), (0.58, -0.55), 0.045),
        layer.bar((0.76, -0.15), (0.92, -0.52), 0.045),
    )
    layer.fill(horns, plain * 0.85)
    layer.fill(np.minimum(foot, neck), plain)
    radius, x = generator.uniform(0.42, 0.5), layer.x + 0.18
    turn = np.arctan2(layer.y, x) / (2 * math.pi)
    spiral = layer.waves(np.hypot(x, layer.y) + turn * 0.24, 0.24)
    light = _one(generator, "ffb347", "ffcf5a", "ffa25c")
    shell = layer.mix(light, _one(generator, "b3401f", "a0331c", "9c2f3a"), spiral)
    layer.fill(layer.ellipse(-0.18, 0, radius, radius), shell)


def _eye(layer: Layer, x: Number, y: Number, radius: Number) -> None:
    layer.fill(layer.ellipse(x, y, radius, radius), WHITE, round=0.02)
    layer.fill(layer.ellipse(x, y, radius * 0.5, radius * 0.5), BLACK, round=0.02)


FIGURES: Mapping[str, Figure] = {
    "cactus": _cactus,
    "fish": _fish,
    "lantern": _lantern,
    "mushroom": _mushroom,
    "owl": _owl,
    "parrot": _parrot,
    "robot": _robot,
    "snail": _snail,
}
"""The figures by class, drawn around the origin; all but tips lie within 1 of it."""
