from __future__ import annotations

from pathlib import Path

import pytest
from same_output import LONGEST_LINE, MOST_LINES, differences


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    """What two commits wrote, the same."""
    for name in ("before", "after"):
        (tmp_path / name / "texts").mkdir(parents=True)
        (tmp_path / name / "rows.csv").write_text("path,caption\na.jpg,A dog.\n")
        (tmp_path / name / "texts" / "a.txt").write_text("A dog.\n")
    return tmp_path / "before", tmp_path / "after"


def test_nothing_differs_where_every_byte_is_the_same(sides: tuple[Path, Path]) -> None:
    assert list(differences(*sides)) == []


def test_a_file_that_differs_is_named_with_its_lines(sides: tuple[Path, Path]) -> None:
    (sides[1] / "rows.csv").write_text("path,caption\na.jpg,A cat.\n")
    assert list(differences(*sides)) == ["\nrows.csv:\n  -a.jpg,A dog.\n  +a.jpg,A cat."]


@pytest.mark.parametrize(
    ("content", "changed_lines"),
    [
        (b"A dog.\r\n", ["  -A dog.", r"  +A dog.\r"]),
        (b"A dog.\xff\n", ["  -A dog.", r"  +A dog.\xff"]),
        (b"A dog.", ["  -"]),
    ],
    ids=["end of line", "no UTF-8", "no end"],
)
def test_no_byte_is_too_small(sides: tuple[Path, Path], content: bytes, changed_lines: list[str]) -> None:
    (sides[1] / "texts" / "a.txt").write_bytes(content)
    assert list(differences(*sides)) == ["\n".join(["\ntexts/a.txt:", *changed_lines])]


def test_a_file_of_one_commit_alone_differs_and_a_record_does_not(sides: tuple[Path, Path]) -> None:
    (sides[0] / "texts" / "b.txt").touch()
    (sides[1] / "texts" / "c.txt").touch()
    (sides[1] / ".rows.csv.origin.json").touch()
    assert list(differences(*sides)) == ["\ntexts/b.txt: only before", "\ntexts/c.txt: only after"]


def test_speed_is_no_difference(sides: tuple[Path, Path]) -> None:
    for side, speed in zip(sides, (b"1.0", b"20.57"), strict=True):
        (side / "eval.txt").write_bytes(speed + b" images/s captioned\n")
        (side / "report.json").write_bytes(b'  "images_per_second": ' + speed + b",\n")
    assert list(differences(*sides)) == []


def test_many_or_long_lines_are_cut(sides: tuple[Path, Path]) -> None:
    (sides[0] / "rows.csv").write_text("".join(f"{str(number) * LONGEST_LINE}\n" for number in range(MOST_LINES + 5)))
    (sides[1] / "rows.csv").write_text("")
    (found,) = differences(*sides)
    lines = found.splitlines()[2:]
    assert len(lines) == MOST_LINES + 1
    assert lines[0] == f"  -{'0' * (LONGEST_LINE - 1)}..."
    assert lines[-1] == "  and 5 lines more"
