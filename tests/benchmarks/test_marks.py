from __future__ import annotations

from pathlib import Path

import pytest
from marks import MARKS, PEOPLE, read_key, read_marks, report, wilson

from capcli.errors import DatasetError

KEY = {1: ("new", "a.jpg"), 2: ("old", "b.jpg"), 3: ("new", "b.jpg"), 4: ("old", "a.jpg"), 5: (PEOPLE, "a.jpg")}


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    return tmp_path / "marks.csv"


def write(file: Path, *rows: str, header: str = "number,mark,note") -> Path:
    file.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("count", "total", "low", "high"), [(8, 10, 0.4902, 0.9433), (0, 10, 0, 0.2775), (10, 10, 0.7225, 1)]
)
def test_intervals_of_shares_are_wilsons(count: int, total: int, low: float, high: float) -> None:
    assert wilson(count, total) == pytest.approx((low, high), abs=1e-4)


def test_shares_are_those_of_each_source_and_people_come_last(marks: Path) -> None:
    write(marks, "1,signed,", "2,wrong,", "3,partly,a dog too many", "4,wrong,", "5,signed,")
    lines = list(report(KEY, [marks]))
    assert lines[2:5] == [
        "| new | 2 | 50 % (9 to 91) | 50 % (9 to 91) | 0 % (0 to 66) |",
        "| old | 2 | 0 % (0 to 66) | 0 % (0 to 66) | 100 % (34 to 100) |",
        "| people | 1 | 100 % (21 to 100) | 0 % (0 to 79) | 0 % (0 to 79) |",
    ]


def test_differences_are_taken_on_the_pictures_that_both_sources_have_marks_of(marks: Path) -> None:
    write(marks, "1,signed,", "2,wrong,", "3,signed,", "4,wrong,", "5,signed,")
    lines = list(report(KEY, [marks]))
    certain = "+100 (+100 to +100) | +0 (+0 to +0) | -100 (-100 to -100)"
    assert f"| old less new | 2 | {'-100 (-100 to -100) | +0 (+0 to +0) | +100 (+100 to +100)'} |" in lines
    assert f"| people less old | 1 | {certain} |" in lines
    assert "| people less new | 1 | +0 (+0 to +0) | +0 (+0 to +0) | +0 (+0 to +0) |" in lines


def test_the_interval_of_a_difference_is_smaller_for_equal_pictures_than_for_strange_ones(marks: Path) -> None:
    pictures = [f"{number}.jpg" for number in range(40)]
    key = {place: ("new", picture) for place, picture in enumerate(pictures)}
    key |= {40 + place: ("old", picture) for place, picture in enumerate(pictures)}

    def spread(old: list[str]) -> float:
        all_marks = ["signed", "wrong"] * 20 + old
        write(marks, *(f"{number},{mark}," for number, mark in enumerate(all_marks)))
        (line,) = [line for line in report(key, [marks]) if line.startswith("| old less new | 40 |")]
        low, high = line.split("(")[1].split(")")[0].split(" to ")
        return float(high) - float(low)

    assert spread(["signed", "wrong"] * 20) == 0
    assert 40 < spread(["wrong", "signed"] * 20) < 80


def test_what_has_no_mark_is_counted_and_left_out(marks: Path) -> None:
    write(marks, "1,signed,", "2,,", "3,,", "4,,", "5,,")
    lines = list(report(KEY, [marks]))
    assert "| new | 1 | 100 % (21 to 100) | 0 % (0 to 79) | 0 % (0 to 79) |" in lines
    assert "| old | 0 | - | - | - |" in lines
    assert "4 of 5 captions have no mark and are left out.\n" in lines


def test_two_readers_are_compared_by_their_equal_marks_and_kappa(tmp_path: Path) -> None:
    # Half agree by chance alone, and three of four do: kappa (3/4 - 1/2) / (1 - 1/2).
    first = write(tmp_path / "one.csv", "1,signed,", "2,signed,", "3,wrong,", "4,wrong,")
    second = write(tmp_path / "two.csv", "1,signed,", "2,signed,", "3,wrong,", "4,signed,")
    lines = list(report(KEY, [first, second]))
    assert "## one.csv\n" in lines and "## two.csv\n" in lines
    assert "one.csv and two.csv agree on 3 of 4 captions: 75 % (30 to 95); kappa 0.50.\n" in lines
    assert lines[-4:-1] == ["| signed | 2 | 0 | 0 |", "| partly | 0 | 0 | 0 |", "| wrong | 1 | 0 | 1 |"]


def test_first_letters_capitals_and_semicolons_are_understood(marks: Path) -> None:
    write(marks, "1;S;fine", "2;Partly;", "3; w ;", header="Number;Mark;Note")
    assert read_marks(marks, KEY) == {1: "signed", 2: "partly", 3: "wrong"}


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (["1,good,"], "line 2: 'good' is no mark; write signed, partly, wrong"),
        (["1,signed,", "1,wrong,"], "line 3: number 1 comes twice"),
        (["9,signed,"], "line 2: the key has no number 9; these marks are of other sheets"),
        (["one,signed,"], "line 2: 'one' is not a number"),
        (["1,,", "2,,"], "has no marks yet; write signed, partly, wrong behind the numbers"),
    ],
)
def test_tables_that_are_not_marks_of_these_sheets_are_refused(marks: Path, rows: list[str], reason: str) -> None:
    with pytest.raises(DatasetError) as refused:
        list(report(KEY, [write(marks, *rows)]))
    assert str(refused.value).endswith(reason)
    assert str(marks) in str(refused.value)


def test_tables_without_the_columns_and_missing_files_are_refused(marks: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be read"):
        read_marks(marks, KEY)
    with pytest.raises(DatasetError, match="has no column mark; its columns are to be number, mark"):
        read_marks(write(marks, "1,signed", header="number,verdict"), KEY)
    with pytest.raises(DatasetError, match="number 1 comes twice"):
        read_key(write(marks, "1,base,a.jpg", "1,base,b.jpg", header="number,source,picture"))


def test_the_three_marks_begin_with_different_letters() -> None:
    assert len({mark[0] for mark in MARKS}) == len(MARKS)
