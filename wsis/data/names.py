"""The classes of PASCAL VOC and of COCO, as their annotations name and number them."""

import re
from collections.abc import Sequence
from functools import lru_cache
from unicodedata import category, normalize

VOC_NAMES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair"),
    *("cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant"),
    *("sheep", "sofa", "train", "tvmonitor"),
)
"""In the order of their numbers, 1…20."""


def voc_colour(number: int) -> tuple[int, int, int]:
    """Return the red, green and blue of a number in VOC's pictures of classes."""
    # The bits of the number, from the lowest, are the colours' from the highest.
    red, green, blue = (
        sum((number >> (3 * place + k) & 1) << (7 - place) for place in range(8))
        for k in range(3)
    )
    return red, green, blue


_IN_COCO = {
    "aeroplane": "airplane",
    "diningtable": "dining table",
    "motorbike": "motorcycle",
    "pottedplant": "potted plant",
    "sofa": "couch",
    "tvmonitor": "tv",
}

VOC_CLASSES = tuple(_IN_COCO.get(name, name) for name in VOC_NAMES)
"""The same classes in the same order, by their names in COCO."""

_COCO = """
1 person 2 bicycle 3 car 4 motorcycle 5 airplane 6 bus 7 train 8 truck 9 boat
10 traffic_light 11 fire_hydrant 13 stop_sign 14 parking_meter 15 bench 16 bird 17 cat
18 dog 19 horse 20 sheep 21 cow 22 elephant 23 bear 24 zebra 25 giraffe 27 backpack
28 umbrella 31 handbag 32 tie 33 suitcase 34 frisbee 35 skis 36 snowboard
37 sports_ball 38 kite 39 baseball_bat 40 baseball_glove 41 skateboard 42 surfboard
43 tennis_racket 44 bottle 46 wine_glass 47 cup 48 fork 49 knife 50 spoon 51 bowl
52 banana 53 apple 54 sandwich 55 orange 56 broccoli 57 carrot 58 hot_dog 59 pizza
60 donut 61 cake 62 chair 63 couch 64 potted_plant 65 bed 67 dining_table 70 toilet
72 tv 73 laptop 74 mouse 75 remote 76 keyboard 77 cell_phone 78 microwave 79 oven
80 toaster 81 sink 82 refrigerator 84 book 85 clock 86 vase 87 scissors 88 teddy_bear
89 hair_drier 90 toothbrush
"""

COCO_CATEGORIES = {
    name.replace("_", " "): int(number)
    for number, name in re.findall(r"(\d+) (\S+)", _COCO)
}
"""The 80 categories of COCO 2014 and 2017: their ids by name."""


ALIKE = str.maketrans("аеорсухіјѕԁһԛԝοναρικυ", "aeopcyxijsdhqwovapiku")
"""Small Cyrillic and Greek letters to the Latin ones that they look like."""


@lru_cache(maxsize=2**16)
def plain(name: str) -> str:
    """Return a name as names are compared.

    Case, dashes, ``_``, the width of spaces, invisible signs and Unicode forms do not
    count, nor whether a letter is Latin, or a Cyrillic or Greek one that looks like it.
    """
    folded = normalize("NFKC", normalize("NFKC", name).casefold()).translate(ALIKE)
    words = "".join(
        " " if category(sign) == "Pd" or sign == "_" else sign
        for sign in folded
        if not is_invisible(sign)
    )
    return " ".join(words.split()) or name


def from_end(name: str) -> list[str]:
    """Return a path from its end: the file name, then folders."""
    return normalize("NFC", name).replace("\\", "/").split("/")[::-1]


def alike(one: Sequence[str], other: Sequence[str]) -> int:
    """Return how many parts from the end two paths share; equal ones share one more."""
    same = [a == b for a, b in zip(one, other, strict=False)]
    return (same.index(False) if False in same else len(same)) + (one == other)


def is_invisible(sign: str) -> bool:
    """Tell whether a sign only says how others are set: a joiner, a mark, a BOM."""
    return category(sign) == "Cf" or sign in "\ufe0e\ufe0f"


def is_line(name: str) -> bool:
    """Tell whether a name is one line of text that can be seen."""
    seen = any(not (sign.isspace() or is_invisible(sign)) for sign in name)
    return seen and not any(category(sign) in ("Cc", "Zl", "Zp") for sign in name)
