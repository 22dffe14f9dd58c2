"""A dev split for a data set that has none."""

from __future__ import annotations

from pathlib import Path

import hold_out
import pytest


def test_a_file_that_is_there_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.png").touch()
    Path("data.csv").write_text("image,caption\na.png,A dog.\n")
    Path("divided.jsonl").write_text("mine")
    monkeypatch.setattr("sys.argv", ["hold_out.py", "data.csv", "-o", "divided.jsonl"])
    with pytest.raises(SystemExit) as stopped:
        hold_out.main()
    assert stopped.value.code == 2 and Path("divided.jsonl").read_text() == "mine"
    assert capsys.readouterr().err == "divided.jsonl: file exists\n"
