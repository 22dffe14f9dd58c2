"""Names and places of metadata in texts: where the user's templates ask for them, never where they are a guess."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from capcli.errors import UsageError
from capcli.metadata.context import Context
from capcli.metadata.people import put_name
from capcli.metadata.tags import Tags


@pytest.mark.parametrize(
    ("caption", "named"),
    [
        ("A young man in a red shirt rides a bike.", "Jan Novák in a red shirt rides a bike."),
        ("A dog runs beside the little girl.", "A dog runs beside Jan Novák."),
        ("A football player is running.", "Jan Novák is running."),
        ("A man and his dog.", "Jan Novák and his dog."),
        ("A man and a woman.", None),
        ("A man watches a group of dogs.", None),
        ("Two men on a beach.", None),
        ("A dog runs.", None),
        ("Man on a horse.", None),
        ("A snowy man in a field.", None),
        ("A fighter jet in the sky.", None),
        ("A statue of a man beside a child.", None),
        ("A record player on a table.", None),
    ],
)
def test_a_name_stands_only_in_the_place_of_the_one_person(caption: str, named: str | None) -> None:
    assert put_name(caption, "Jan Novák") == named


def face(name: str | None, kind: str = "Face") -> dict[str, Any]:
    return {"Area": {"X": "0.5"}, "Type": kind, **({} if name is None else {"Name": name})}


def tags(*faces: dict[str, Any], **more: str) -> Tags:
    values = {"city": "IPTC:City", "country": "XMP-photoshop:Country"}
    regions = {"XMP-mwg-rs:RegionInfo": {"RegionList": list(faces)}}
    return Tags({**regions, **{values[key]: value for key, value in more.items()}})


def text(tmp_path: Path, templates: str, found: Tags, former: str | None = None) -> str:
    file = tmp_path / "context.txt"
    file.write_text(templates, encoding="utf-8")
    return Context(file).text("A man runs.", tmp_path / "holiday" / "a.jpg", found, former)


TEMPLATES = "# the first that fits\n\n{named} ({city}, {country})\n{caption} ({city})\n"


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (tags(face("Jan"), city="Brno", country="Česko"), "Jan runs. (Brno, Česko)"),
        (tags(face("Jan"), face("Eva"), city="Brno", country="Česko"), "A man runs. (Brno)"),
        (tags(face("Jan"), face(None), city="Brno", country="Česko"), "A man runs. (Brno)"),
        (tags(face("Rex", "Pet"), city="Brno", country="Česko"), "A man runs. (Brno)"),
        (tags(face("Jan")), "A man runs."),
    ],
)
def test_the_first_template_counts_whose_fields_the_picture_has(tmp_path: Path, found: Tags, expected: str) -> None:
    assert text(tmp_path, TEMPLATES, found) == expected


def test_an_existing_description_is_joined_once(tmp_path: Path) -> None:
    templates = "{existing} {named} [{folder}]\n{existing} {caption} [{folder}]"
    before = "My words."
    for faces in ([], [face("Jan")]):
        joined = text(tmp_path, templates, tags(*faces), before)
        assert joined == f"My words. {'Jan' if faces else 'A man'} runs. [holiday]"
        assert text(tmp_path, templates, tags(*faces), joined) == joined


@pytest.mark.parametrize(
    ("templates", "message"),
    [
        ("{caption} ({town})", "line 1: no field is called {town}; there are caption, named"),
        ("\n{capton}", "line 2: no field is called {capton}; did you mean {caption}"),
        ("{caption.x}", "line 1: no field is called {caption.x}"),
        ("{caption!r}", "line 1: a field takes no ! behind its name; write {caption}"),
        ("{caption:>9}", "line 1: a field takes no : behind its name; write {caption}"),
        ("{caption", "line 1: .*braces of the text itself are written twice"),
        ("# nothing\n  # indented", "holds no template"),
    ],
)
def test_templates_that_cannot_be_meant_are_refused(tmp_path: Path, templates: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        text(tmp_path, templates, tags())


def test_templates_in_another_encoding_are_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "context.txt").write_bytes("{caption} (Köln)".encode("latin-1"))
    with pytest.raises(UsageError, match=r"context\.txt: not UTF-8 text$"):
        Context(tmp_path / "context.txt")
