from __future__ import annotations

from pathlib import Path

import pytest
from caption_files import write_captions
from fake_captioner import FakeCaptioner
from PIL import Image


@pytest.fixture
def fake() -> FakeCaptioner:
    """Is handed to commands in the place of a captioner."""
    return FakeCaptioner()


@pytest.fixture
def closed_stdout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables cannot be printed, as where a reader of the output went away."""

    def print_table(*cells: object, **how: object) -> None:
        raise BrokenPipeError

    for user in ("table", "people_tables"):
        monkeypatch.setattr(f"capcli.evaluation.{user}.print_table", print_table)


@pytest.fixture
def scored_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a data set of five pictures in two splits, and captions of its test split."""
    (tmp_path / "data").mkdir()
    rows = ["image,caption,split"]
    for i in range(5):
        Image.new("RGB", (9, 9), (i, i, i)).save(tmp_path / "data" / f"{i}.png")
        split = "train" if i == 4 else "test"
        rows += [f"{i}.png,brightness {i},{split}", f"{i}.png,a picture of brightness {i},{split}"]
    (tmp_path / "data" / "captions.csv").write_text("\n".join(rows))
    write_captions(tmp_path / "said.jsonl", {f"{i}.png": f"brightness {i}" for i in range(4)})
    monkeypatch.chdir(tmp_path)
    return tmp_path
