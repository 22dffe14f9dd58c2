from __future__ import annotations

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capcli.heatmap.text import BOX, drawable, font, missing, wrap


@settings(deadline=None)
@given(st.text(alphabet=st.characters()))
def test_any_text_can_be_drawn_on_one_line(text: str) -> None:
    drawn = drawable(text)
    left, top, right, bottom = font(20).getbbox(drawn)
    assert right >= left
    assert bottom - top <= sum(font(20).getmetrics()) + 1
    assert not set(drawn) & set("\n\r\t\v\f")


@settings(deadline=None)
@given(st.text(string.printable))
def test_ascii_stays_as_it_is(text: str) -> None:
    assert drawable(text) == "".join(character for character in " ".join(text.split()) if character.isprintable())


@pytest.mark.parametrize(
    "text",
    [
        *("Zürich, naïve, Łódź", "Đặng Thị, ĉiuĵaŭde, Þór", "пёс, собака, ґанок", "Αθήνα, ὁ ἄνθρωπος", "Հայ ქართ"),
        *("“so” … © € → ≤ ♥", "ﬁ ß ẞ Ĳ"),
    ],
)
def test_letters_of_many_languages_are_drawn_as_they_are_spelt(text: str) -> None:
    assert drawable(text) == text
    assert missing(text) == []


@pytest.mark.parametrize(
    ("text", "drawn", "lacking"),
    [
        ("犬 a 犬狗", f"{BOX} a {BOX}{BOX}", ["犬", "狗"]),
        ("\N{DOG FACE}", BOX, ["\N{DOG FACE}"]),
        ("\N{FULLWIDTH LATIN CAPITAL LETTER A}", BOX, ["\N{FULLWIDTH LATIN CAPITAL LETTER A}"]),
        ("\udcff", BOX, ["\udcff"]),
        ("שלום", BOX * 4, list("שלום")),
        ("नि", BOX * 2, list("नि")),
        ("ж\N{COMBINING CYRILLIC TEN MILLIONS SIGN}", f"ж{BOX}", ["\ua670"]),
    ],
)
def test_a_letter_that_the_font_lacks_is_a_box_and_no_other_letter(text: str, drawn: str, lacking: list[str]) -> None:
    assert drawable(text) == drawn
    assert missing(text) == lacking


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("cafe\N{COMBINING ACUTE ACCENT}", "café"),
        ("a\N{ZERO WIDTH SPACE}b\x1b", "ab"),
        ("so\N{SOFT HYPHEN}fa", "sofa"),
        ("♥\N{VARIATION SELECTOR-16}", "♥"),
        (" a\n b\N{NO-BREAK SPACE}c ", "a b c"),
    ],
)
def test_what_is_not_seen_is_not_drawn(text: str, drawn: str) -> None:
    assert drawable(text) == drawn
    assert missing(text) == []


words = st.lists(st.text(string.ascii_letters + string.digits, min_size=1, max_size=70), max_size=30)


@settings(deadline=None)
@given(words, st.integers(40, 600))
def test_lines_are_narrow_enough_and_lose_nothing(words: list[str], width: int) -> None:
    lines = wrap(" ".join(words), font(20), width, 10_000)
    assert all(font(20).getlength(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == "".join(words)


@settings(deadline=None)
@given(words, st.integers(80, 300), st.integers(1, 4))
def test_of_too_many_lines_the_middle_is_left_out(words: list[str], width: int, most: int) -> None:
    text = " ".join(words)
    lines = wrap(text, font(20), width, most)
    assert len(lines) <= most
    assert all(font(20).getlength(line) <= width for line in lines)
    if len(wrap(text, font(20), width, 10_000)) > most:
        assert lines[-1].startswith("…")
        assert text.endswith(lines[-1][1:])
        assert lines[:-1] == wrap(text, font(20), width, 10_000)[: most - 1]


def test_words_that_fit_are_not_broken() -> None:
    lines = wrap("a dog runs over the grass", font(20), font(20).getlength("over the"), 10)
    assert lines == ["a dog", "runs", "over the", "grass"]


def test_a_width_below_a_character_still_takes_one_a_line() -> None:
    assert wrap("dog", font(20), 1, 10) == ["d", "o", "g"]
    assert wrap("", font(20), 1, 10) == []
