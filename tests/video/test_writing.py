from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from capcli.errors import CapcliError, UsageError
from capcli.files.atomic import replacing
from capcli.video.writing import check_output, opened


def test_a_file_has_its_name_once_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "film.vtt"
    with opened(path, io.BytesIO()) as put:
        put(b"one ")
        assert not path.exists()
        put(b"two")
    assert path.read_bytes() == b"one two"
    assert [file.name for file in tmp_path.iterdir()] == ["film.vtt"]


def test_what_was_there_stays_where_the_work_is_left(tmp_path: Path) -> None:
    path = tmp_path / "film.vtt"
    path.write_bytes(b"before")
    with pytest.raises(RuntimeError), opened(path, io.BytesIO()) as put:
        put(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"before"
    assert [file.name for file in tmp_path.iterdir()] == ["film.vtt"]


def test_two_runs_do_not_write_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "film.vtt"
    with replacing(path), pytest.raises(CapcliError, match="another run is writing it"), opened(path, io.BytesIO()):
        pass


def test_stdout_gets_each_part_at_once() -> None:
    stdout = io.BytesIO()
    with opened(None, stdout) as put:
        put(b"one")
        assert stdout.getvalue() == b"one"


def test_an_output_that_would_cost_a_file_is_refused(tmp_path: Path) -> None:
    film, link = tmp_path / "film", tmp_path / "film.vtt"
    film.write_bytes(b"film")
    (tmp_path / "there.vtt").touch()
    (tmp_path / "scan").write_bytes(b"\xff\xd8\xff\xe0 and the rest")
    for output, overwrite, why in (
        (film, True, "would take its place"),
        (tmp_path / "there.vtt", False, "exists; --overwrite"),
        (tmp_path / "none" / "film.vtt", False, "its folder does not exist"),
        (tmp_path, True, "is a folder"),
        (tmp_path / "other.mp4", True, "has the name of a film"),
        (tmp_path / "photo.jpg", True, "has the name of a picture"),
        (tmp_path / "scan", True, "holds a picture"),
    ):
        with pytest.raises(UsageError, match=why):
            check_output(output, film, overwrite=overwrite)
    link.symlink_to(film)
    with pytest.raises(UsageError, match="would take its place"):
        check_output(link, film, overwrite=True)
    check_output(tmp_path / "there.vtt", film, overwrite=True)
    check_output(Path(os.devnull), film, overwrite=False)
    check_output(None, film, overwrite=False)
