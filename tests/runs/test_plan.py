"""Which pictures a resumed run reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from capcli.output.survey import Survey, look_through
from capcli.pictures.find import find_pictures
from capcli.runs.plan import Plan


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / folder / f"{number}.jpg" for folder in "ab" for number in range(7)]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return paths


@pytest.mark.parametrize("reached", range(1, 15))
@pytest.mark.parametrize("open_before", [None, 0, 5])
def test_a_resumed_run_begins_with_the_batch_in_which_the_earlier_one_ended(
    pictures: list[Path], reached: int, open_before: int | None
) -> None:
    settled = {picture for place, picture in enumerate(pictures[:reached]) if place != open_before}
    survey = look_through(pictures, settled.__contains__)
    if not survey.settled:
        return
    found = find_pictures([pictures[0].parent.parent], recursive=True)
    plan = Plan(found, survey, settled.__contains__, 4)
    start = len(pictures) if survey.reached == len(pictures) else survey.reached - survey.reached % 4
    missed = [picture for picture in pictures[:start] if picture not in settled]
    assert [picture for picture in plan if picture is not None] == missed + pictures[start:]
    assert plan.mates == settled & set(pictures[start:])


def test_a_resumed_run_asks_nothing_of_pictures_that_are_all_settled(pictures: list[Path]) -> None:
    asked: list[Path] = []

    def is_settled(picture: Path) -> bool:
        asked.append(picture)
        return picture in pictures[:9]

    found = find_pictures([pictures[0].parent.parent], recursive=True)
    assert list(Plan(found, Survey(14, 9, 0, 9), is_settled, 4)) == [None, *pictures[8:]]
    assert asked == pictures[8:]
