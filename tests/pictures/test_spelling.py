from __future__ import annotations

from pathlib import Path

import pytest

from capcli.pictures.find import find_pictures
from capcli.pictures.options import InputOptions
from capcli.pictures.spelling import respell

NAMES = [
    "a b.jpg",
    "it's.jpg",
    'say "hi".jpg',
    "100%25.jpg",
    "Zürich.jpg",
    "what?.jpg",
    "back\\slash.jpg",
    "#1 [x].jpg",
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in NAMES:
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "'\\''") + "'"


def escaped(path: Path) -> str:
    return "".join(letter if letter.isalnum() or letter in "/._-%" else f"\\{letter}" for letter in str(path))


@pytest.mark.parametrize("name", NAMES)
def test_urls_quotes_and_backslashes_stand_for_a_path(folder: Path, name: str) -> None:
    path = folder / name
    for spelt in (
        path.as_uri(),
        path.as_uri().replace("file://", "file:"),
        quoted(path),
        escaped(path),
        f"{quoted(path)} ",
    ):
        assert Path(respell(spelt)) == path, spelt
    assert Path(respell(path.as_uri().replace("file:///", "file://localhost/"))) == path
    assert Path(respell(escaped(Path(name)))) == Path(name)


def test_double_quotes_too(folder: Path) -> None:
    assert respell(f'"{folder / "a b.jpg"}"') == str(folder / "a b.jpg")
    assert respell('"Zürich.jpg"') == "Zürich.jpg"


def test_what_exists_is_meant_as_it_stands(folder: Path) -> None:
    (folder / "'a b.jpg'").touch()
    (folder / "a\\ b.jpg").touch()
    for spelt in ("'a b.jpg'", "a\\ b.jpg", "a b.jpg", "back\\slash.jpg"):
        assert respell(spelt) == spelt


@pytest.mark.parametrize(
    "spelt",
    ["absent.jpg", "'absent.jpg'", "'a b.jpg", "file:///absent.jpg", "file://host/a.jpg", "a\\b", "'a' 'b'", "\\"],
)
def test_what_stands_for_nothing_stays_as_it_is(folder: Path, spelt: str) -> None:
    assert respell(spelt) == spelt


def test_paths_and_lists_are_taken_so(folder: Path) -> None:
    url = (folder / "a b.jpg").as_uri()
    assert find_pictures([url]).pictures == [folder / "a b.jpg"]
    assert find_pictures([url]).alone
    assert find_pictures([], listed=["'it'\\''s.jpg'", url]).pictures == [Path("it's.jpg"), folder / "a b.jpg"]
    assert len(find_pictures([folder.as_uri()]).pictures) == len(NAMES)
    assert not find_pictures([folder.as_uri()]).alone
    (folder / "list.txt").write_text(f"{url}\n{quoted(folder / NAMES[1])}\n")
    found, base = InputOptions(from_file="list.txt").find([])
    assert found.pictures == [folder / name for name in NAMES[:2]]
    assert base == folder


def test_a_list_may_name_files_that_begin_with_a_dash(folder: Path) -> None:
    for name in ("-dash.png", "--help.png", "-"):
        (folder / name).touch()
    (folder / "list.txt").write_text("-dash.png\n--help.png\n./-\n")
    found, base = InputOptions(from_file="list.txt").find([])
    assert found.pictures == [Path("-dash.png"), Path("--help.png"), Path("-")]
    assert base == folder
