from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from capcli.errors import UsageError
from capcli.pictures.lists import read_list


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "list.txt"


def give_stdin(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
def test_one_path_a_line(source: Path, start: bytes, ending: bytes) -> None:
    lines = [b"a.jpg", b"", b" b c\t.png ", b"  ", "sub/ä.webp".encode(), b"last.gif"]
    source.write_bytes(start + ending.join(lines))
    assert read_list(source) == ["a.jpg", " b c\t.png ", "sub/ä.webp", "last.gif"]


def test_null_bytes_leave_line_breaks_to_names(source: Path) -> None:
    source.write_bytes(b"a\n.jpg\0\0 \0b\r\0c.png")
    assert read_list(str(source), null=True) == ["a\n.jpg", " ", "b\r", "c.png"]


def test_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    give_stdin(monkeypatch, b"a.jpg\nb.jpg\n")
    assert read_list("-") == ["a.jpg", "b.jpg"]
    give_stdin(monkeypatch, b"a.jpg\0b.jpg\0")
    assert read_list(Path("-"), null=True) == ["a.jpg", "b.jpg"]


def test_a_closed_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(UsageError, match="stdin: it is closed"):
        read_list("-")


@pytest.mark.skipif(sys.platform == "win32", reason="names hold no carriage returns there")
def test_a_carriage_return_stays_where_it_is_part_of_a_name(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(source.parent)
    Path("odd.jpg\r").touch()
    source.write_bytes(b"odd.jpg\r\nplain.jpg\r\n")
    assert read_list(source) == ["odd.jpg\r", "plain.jpg"]


@pytest.mark.skipif(sys.platform == "win32", reason="names are text there")
@given(st.lists(st.binary(min_size=1).filter(lambda name: b"\0" not in name), min_size=1))
def test_any_name_survives_between_null_bytes(tmp_path_factory: pytest.TempPathFactory, wild: list[bytes]) -> None:
    source = tmp_path_factory.mktemp("wild") / "list"
    # What looks like a picture, a byte order mark or UTF-16 does so by its first bytes.
    source.write_bytes(b"\0".join([b"./first", *wild, b""]))
    assert [os.fsencode(path) for path in read_list(source, null=True)] == [b"./first", *wild]


@pytest.mark.parametrize("content", [b"", b"\n \r\n\t\n", b"\xef\xbb\xbf"])
def test_a_list_that_names_nothing(source: Path, content: bytes) -> None:
    source.write_bytes(content)
    with pytest.raises(UsageError, match=r"list\.txt names no pictures"):
        read_list(source)


def test_an_empty_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    give_stdin(monkeypatch, b"\0")
    with pytest.raises(UsageError, match="stdin names no pictures"):
        read_list("-", null=True)


@pytest.mark.parametrize("content", [b"a.jpg\0b.jpg\0", b"a\n.jpg\0b.jpg"])
def test_null_bytes_where_lines_are_expected_point_to_the_option(source: Path, content: bytes) -> None:
    source.write_bytes(content)
    with pytest.raises(UsageError, match=r"by null bytes; -0"):
        read_list(source)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF"])
@pytest.mark.parametrize("null", [False, True])
def test_a_picture_in_the_place_of_a_list(source: Path, kind: str, null: bool) -> None:
    Image.new("RGB", (8, 8), "red").save(source, kind)
    with pytest.raises(UsageError, match="is a picture, not a list of paths"):
        read_list(source, null=null)


def test_other_binary_data_in_the_place_of_a_list(source: Path) -> None:
    source.write_bytes(b"\x7fELF\x02\x01\x01\0\0\0\0\0")
    with pytest.raises(UsageError, match="binary data"):
        read_list(source)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_told(source: Path, encoding: str) -> None:
    source.write_bytes("\ufeffa.jpg\r\n".encode(encoding))
    with pytest.raises(UsageError, match="save the list in UTF-8"):
        read_list(source)


@pytest.mark.parametrize("name", ["absent.txt", "", "absent/list.txt"])
def test_a_list_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="no such list"):
        read_list(name)


def test_a_folder_in_the_place_of_a_list(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder, not a list"):
        read_list(tmp_path)


def test_lists_that_cannot_be_read(source: Path) -> None:
    source.touch()
    for name in (source / "below", "a\0b"):
        with pytest.raises(UsageError, match="cannot read the list"):
            read_list(name)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_list_without_permission(source: Path) -> None:
    source.write_text("a.jpg\n")
    source.chmod(0)
    with pytest.raises(UsageError, match="permission denied"):
        read_list(source)
