from pathlib import Path

import pytest

from tests.command import wsis


def shown(folder: Path, text: str) -> str:
    """What is printed of a recipe with this description, escaped as TOML has it."""
    recipe = folder / "own.toml"
    head = f'description = "{text}"\ndata = "scenes"\nminer = "cim"\n[settings]\n'
    recipe.write_text(head)
    return wsis("recipe", "show", recipe)


@pytest.mark.parametrize("text", ["می\u200cخواهم", "👩\u200d🌾", "a\u200bb\ufe0f"])
def test_signs_that_join_words_are_printed_as_they_are(
    tmp_path: Path, text: str
) -> None:
    assert text in shown(tmp_path, text)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("dog\xa0house", "dog<no-break space>house"),
        ("dog\u200b", "dog<zero width space>"),
        ("👩\u200d🌾 می\u200cخواهم", "👩\u200d🌾 می\u200cخواهم"),
        ("a\x1b[2J\u202e", r"a\x1b[2J\u202e"),
        ("C:\\xa0", r"C:\\xa0"),
        ("\ud800", r"\ud800"),
    ],
)
def test_quoted_names_are_readable(name: str, shown: str) -> None:
    assert f"no recipe is called '{shown}'" in wsis("recipe", "show", name, code=2)


def test_signs_that_steer_a_terminal_or_turn_a_text_are_spelled_out(
    tmp_path: Path,
) -> None:
    text = r"a\u001b[2J\u202eb\u2066c\u0085"

    assert r"a\x1b[2J\u202eb\u2066c\x85" in shown(tmp_path, text)
