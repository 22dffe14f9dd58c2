"""The log of a run, as programs and spreadsheets leave it."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from capcli.training.log import COLUMNS, TrainingLog


@pytest.mark.parametrize("separator", ",;\t")
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=repr)
def test_rows_that_a_spreadsheet_saved_stay_when_a_run_goes_on(
    tmp_path: Path, separator: str, encoding: str, newline: str
) -> None:
    log = tmp_path / "log.csv"
    with TrainingLog(log, None) as rows:
        for step in (10, 20, 30):
            rows.row(stage=0, epoch=0, step=step, loss=1 / step, dev="my, own; set")
    before = list(csv.reader(io.StringIO(log.read_text(), newline="")))
    with log.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=separator, lineterminator=newline).writerows(before)
    with TrainingLog(log, (0, 0, 30)) as rows:
        rows.row(stage=0, epoch=0, step=30, loss=0.5)
    after = list(csv.DictReader(io.StringIO(log.read_text(), newline="")))
    assert [(row["step"], row["loss"], row["dev"]) for row in after] == [
        ("10", "0.1", "my, own; set"),
        ("20", "0.05", "my, own; set"),
        ("30", "0.5", ""),
    ]
    assert list(after[0]) == list(COLUMNS)
