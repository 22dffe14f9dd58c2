"""The class for Ray Data, called as Ray Data calls it; no cluster is needed for that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from fake_captioner import FakeCaptioner
from PIL import Image

from capcli.errors import ModelError
from capcli.ray import CaptionBatch
from capcli.ray.places import Folder, split_uri

Make = Callable[..., CaptionBatch]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for number in range(5):
        Image.new("RGB", (9, 9), (number, number, number)).save(tmp_path / f"{number}.png")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    (tmp_path / "empty.png").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def make() -> Make:
    return lambda **options: CaptionBatch(cpus=1, load=FakeCaptioner().load, **options)


def test_each_row_comes_back_with_what_became_of_its_picture(folder: Path, make: Make) -> None:
    paths = [
        "0.png",
        "bad.png",
        str(folder / "3.png"),
        "empty.png",
        "gone.png",
        (folder / "4.png").as_uri(),
        "a\0b",
        "",
    ]
    table = pa.table({"path": paths, "mine": range(8), "error": ["old"] * 8})
    result = make(batch_size=3, keywords=0)(table)
    assert result["path"].to_pylist() == paths
    assert result["mine"].to_pylist() == list(range(8))
    assert result["caption"].to_pylist() == [
        "brightness 0", None, "brightness 3", None, None, "brightness 4", None, None
    ]  # fmt: skip
    assert result["error"].to_pylist() == [
        None,
        "is not a picture capcli can read",
        None,
        "is empty (0 bytes)",
        "does not exist",
        None,
        "does not exist",
        "has neither path nor bytes",
    ]
    assert result["model"].to_pylist() == [None if error else "fake" for error in result["error"].to_pylist()]
    assert result["keywords"].null_count == 8


def test_pictures_may_come_as_bytes(folder: Path, make: Make) -> None:
    content = [(folder / "3.png").read_bytes(), None, b"", b"no picture"]
    result = make()(pa.table({"bytes": pa.array(content, pa.binary())}))
    assert result["caption"].to_pylist() == ["brightness 3", None, None, None]
    assert result["error"].to_pylist()[1:] == [
        "has neither path nor bytes", "is empty (0 bytes)", "is not a picture capcli can read"
    ]  # fmt: skip
    assert result["bytes"].to_pylist() == content


def test_columns_of_numpy_are_taken_and_given_too(folder: Path, make: Make) -> None:
    result = make()({"path": np.array(["2.png", "bad.png"], object), "n": np.arange(2)})
    assert result["caption"].tolist() == ["brightness 2", None]
    assert result["n"].tolist() == [0, 1]


def test_no_rows_are_no_rows(make: Make) -> None:
    result = make()(pa.table({"path": pa.array([], pa.string())}))
    assert (result.num_rows, "caption" in result.column_names) == (0, True)


def test_a_picture_is_computed_with_as_many_as_in_a_run_over_all(folder: Path, make: Make) -> None:
    caption = make(batch_size=4, total=9)
    alone = pa.table({"path": ["1.png", "bad.png", "4.png"], "number": [2, 5, 8]})
    # The stand-in's confidence says how many it got: four, and one in the last batch of nine.
    assert caption(alone)["confidence"].to_pylist() == [0.504, None, 0.501]


def test_what_is_done_is_told(folder: Path, make: Make) -> None:
    done: list[tuple[int, int]] = []
    make(batch_size=2, done=lambda *counts: done.append(counts))(pa.table({"path": ["0.png", "bad.png", "1.png"]}))
    assert done == [(2, 1), (1, 0)]


def test_pictures_of_other_file_systems_are_fetched_and_let_go(
    folder: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

    (folder / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder / "temporary"))
    caption = make(filesystem=SubTreeFileSystem(str(folder), LocalFileSystem()), batch_size=1)
    result = caption(pa.table({"path": ["2.png", "gone.png", "bad.png", *["1.png"] * 20]}))
    assert result["caption"].to_pylist()[:3] == ["brightness 2", None, None]
    assert result["error"].to_pylist()[1:3] == ["does not exist", "is not a picture capcli can read"]
    assert list((folder / "temporary").iterdir()) == []


def test_a_machine_with_another_model_does_not_begin(tiny_file: Path) -> None:
    with pytest.raises(ModelError, match="another model on this machine"):
        CaptionBatch(str(tiny_file), sha256="0" * 64, cpus=1)


def test_names_of_places_are_understood() -> None:
    assert (
        split_uri("s3://bucket/a/b.jpg") == split_uri(str(Path("s3://bucket/a/b.jpg"))) == ("s3", "bucket", "a/b.jpg")
    )
    assert [split_uri(text) for text in ("a/b.jpg", "/a", "C:/a", "file:///a", "x:y")] == [None] * 5
    assert (str(Folder("gs://b/x/") / "y"), (Folder("gs://b/x/") / "y").path) == ("gs://b/x/y", "b/x/y")
