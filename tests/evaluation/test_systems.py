"""Captions of several systems about the same pictures."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from PIL import Image

from capcli.errors import UsageError
from capcli.evaluation.systems import read_systems


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for number in range(4):
        Image.new("RGB", (9, 9)).save(tmp_path / "photos" / f"{number}.jpg")
    return tmp_path


def write(name: str, captions: dict[str, str | None]) -> Path:
    rows = (
        {"path": path, **({"error": "is empty"} if text is None else {"caption": text})}
        for path, text in captions.items()
    )
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Path(name)


def test_pictures_that_one_system_lacks_are_left_out_and_said() -> None:
    a = write("a.jsonl", {f"photos/{number}.jpg": f"a {number}" for number in range(3)})
    b = write("b.jsonl", {"photos/0.jpg": "b 0", "photos/1.jpg": None, "photos/2.jpg": "", "photos/3.jpg": "b 3"})
    systems = read_systems([a, b])
    assert systems.names == ("a.jsonl", "b.jsonl")
    assert [(picture.image, picture.captions) for picture in systems.pictures] == [
        ("photos/0.jpg", {"a.jsonl": "a 0", "b.jsonl": "b 0"}),
        ("photos/2.jpg", {"a.jsonl": "a 2", "b.jsonl": ""}),
    ]
    assert systems.notes == (
        "a.jsonl: has no caption of 1 picture, left out of the rating, first photos/3.jpg",
        "b.jsonl: has no caption of 1 picture, left out of the rating, first photos/1.jpg",
    )


def test_names_that_differ_are_one_picture_whichever_file_comes_first(folder: Path) -> None:
    a = write("a.jsonl", {str(folder / "photos" / "0.jpg"): "a"})
    b = write("b.jsonl", {"photos/0.jpg": "b"})
    for files in ([a, b], [b, a]):
        (picture,) = read_systems(files).pictures
        assert (picture.image, picture.path.name, set(picture.captions.values())) == (
            "photos/0.jpg",
            "0.jpg",
            {"a", "b"},
        )


def test_pictures_are_found_from_the_rows_and_by_their_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a = write("photos/a.jsonl", {"0.jpg": "a", "9.jpg": "gone"})
    systems = read_systems([a])
    assert [picture.path for picture in systems.pictures] == [Path("photos/0.jpg")]
    assert systems.notes == ("1 picture is not on the disk and left out, first 9.jpg",)
    b = write("b.jsonl", {"0.jpg": "b"})
    with pytest.raises(UsageError, match="--pictures names their folder"):
        read_systems([b])
    assert len(read_systems([b], Path("photos")).pictures) == 1
    assert len(read_systems([b], need_pictures=False).pictures) == 1


def test_files_of_one_name_are_told_apart_by_their_folders() -> None:
    files = [write(f"{name}/rows.jsonl", {"photos/0.jpg": name}) for name in ("one", "two")]
    assert read_systems(files).names == tuple(map(str, files))
    with pytest.raises(UsageError, match="is named twice"):
        read_systems([files[0], Path(os.path.relpath(files[0].resolve()))])


def test_what_does_not_fit_together_is_one_line() -> None:
    a = write("a.jsonl", {"photos/0.jpg": "a"})
    with pytest.raises(UsageError, match="no prediction is about any of its images"):
        read_systems([a, write("b.jsonl", {"photos/1.jpg": "b"})])
    Path("twice.jsonl").write_text(a.read_text() * 2)
    with pytest.raises(UsageError, match=r"two captions of photos/0.jpg: twice.jsonl, line 1 and twice.jsonl, line 2"):
        read_systems([Path("twice.jsonl"), a])
    with pytest.raises(UsageError, match=r"no picture is left to rate: c.jsonl: has no caption of 1 picture, left out"):
        read_systems(
            [
                write("c.jsonl", {"photos/0.jpg": "c", "photos/1.jpg": None}),
                write("b.jsonl", {"photos/0.jpg": None, "photos/1.jpg": "b"}),
            ]
        )
