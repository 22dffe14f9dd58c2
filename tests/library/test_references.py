"""What a library gives to learn from: what people have checked, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from kept_results import make_kept
from typer.testing import CliRunner

from capcli.cli import app
from capcli.errors import DatasetError
from capcli.library.references import read_training_data
from capcli.library.review import decide, read_window

Keep = Callable[..., list[Path]]


@pytest.fixture
def library(keep: Keep, tmp_path: Path) -> Path:
    results = {}
    for name in ("accepted", "edited", "rejected", "flagged", "unseen", "missing"):
        path = tmp_path / f"{name}.jpg"
        path.write_text(name)
        results[path] = make_kept(path, f"A {name}.")
    keep(results)
    return tmp_path / "photos.db"


def review(library: Path) -> None:
    for row in read_window(library, None, None, 99):
        name = Path(row.path).stem
        if name != "unseen":
            status = name if name in ("rejected", "flagged") else "accepted"
            decide(library, row.id, row.version, status, f"Anna's {name}.", "Ann")


def test_only_what_people_have_checked_is_a_reference(keep: Keep, library: Path) -> None:
    review(library)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(library.parent)
        assert len(read_training_data("photos.db")) == 3
    (library.parent / "missing.jpg").unlink()
    with pytest.raises(DatasetError, match="1 image is missing"):
        read_training_data(library)
    keep({}, resume=True)
    data = read_training_data(library)
    assert [(item.image.stem, item.captions, item.split) for item in data.items] == [
        ("accepted", ("Anna's accepted.",), "train"),
        ("edited", ("Anna's edited.",), "train"),
    ]


def test_training_refuses_a_library_that_nobody_has_reviewed(library: Path) -> None:
    done = CliRunner().invoke(app, ["train", "base", "--data", str(library), "--run", str(library.parent / "run")])
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
    assert "nobody has accepted or edited a caption" in done.stderr
