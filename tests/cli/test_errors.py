import pytest

from wsis.cli._errors import printable


@pytest.mark.parametrize(
    "text",
    [
        "polar\u00a0bear",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "👩\u200d🌾",
        "k\u0131\u3000z",
    ],
)
def test_signs_that_join_and_space_words_are_printed_as_they_are(text: str) -> None:
    assert printable(text) == text


def test_signs_that_steer_a_terminal_or_turn_a_text_are_spelled_out() -> None:
    text = "a\x1b[2J\r\u202eb\u2066c\u2028\udcff"

    assert printable(text) == r"a\x1b[2J\r\u202eb\u2066c\u2028\udcff"
