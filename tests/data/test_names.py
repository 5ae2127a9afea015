import pytest

from wsis.data.names import COCO_CATEGORIES, VOC_NAMES, plain


@pytest.mark.parametrize(
    "name",
    [
        "Polar Bear",
        "polar-bear",
        "polar_bear",
        "polar  bear ",
        "polar\u00a0bear",
        "polar\u3000bear",
        "polar\u2011bear",
        "po\u00adlar bear\u200b",
        "\ufeffpolar bear",
        "\uff50olar bear",
        "P\u041elar b\u0435ar",
        "p\u03bflar bear",
    ],
)
def test_spellings_of_a_name_compare_as_one(name):
    assert plain(name) == "polar bear"


def test_unicode_forms_compare_as_one():
    assert plain("ka\u0308fer") == plain("K\u00c4FER") == "k\u00e4fer"


def test_other_names_stay_apart():
    names = {*VOC_NAMES, *COCO_CATEGORIES}

    assert len({plain(name) for name in names}) == len(names)
    assert plain("-") != plain("_")
