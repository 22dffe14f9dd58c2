from __future__ import annotations

import os
from pathlib import Path

import pytest

from capcli.errors import UsageError
from capcli.pictures.find import find_pictures


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in (
        "img10.jpg",
        "img2.JPG",
        "Img1.png",
        ".hidden.jpg",
        "notes.txt",
        "deep/b.webp",
        "deep/er/a.tif",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def names(paths: list[Path], root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in paths]


def test_a_folder_gives_its_pictures_in_natural_order(tree: Path) -> None:
    assert names(find_pictures([tree]), tree) == ["Img1.png", "img2.JPG", "img10.jpg"]


def test_recursion_adds_sub_folders_after_the_folder_itself(tree: Path) -> None:
    found = names(find_pictures([tree], recursive=True), tree)
    assert found == ["Img1.png", "img2.JPG", "img10.jpg", "deep/b.webp", "deep/er/a.tif"]


def test_hidden_folders_and_folders_named_like_pictures_are_no_pictures(tree: Path) -> None:
    (tree / ".cache").mkdir()
    (tree / ".cache" / "c.jpg").touch()
    (tree / "album.jpg").mkdir()
    (tree / "album.jpg" / "d.jpg").touch()
    assert names(find_pictures([tree]), tree) == ["Img1.png", "img2.JPG", "img10.jpg"]
    assert "album.jpg/d.jpg" in names(find_pictures([tree], recursive=True), tree)
    assert ".cache/c.jpg" not in names(find_pictures([tree], recursive=True), tree)


def test_a_named_file_is_taken_whatever_its_extension(tree: Path) -> None:
    assert find_pictures([tree / "notes.txt", str(tree / ".hidden.jpg")]) == [
        tree / "notes.txt",
        tree / ".hidden.jpg",
    ]


def test_order_is_that_of_the_arguments_and_duplicates_go(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree)
    found = find_pictures(["img10.jpg", ".", "./deep/../img2.JPG", tree / "img10.jpg"])
    assert found == [Path("img10.jpg"), Path("Img1.png"), Path("img2.JPG")]


def test_a_link_to_a_picture_is_a_picture_and_a_dangling_one_is_left_to_reading(tree: Path) -> None:
    (tree / "deep" / "link.jpg").symlink_to(tree / "img2.JPG")
    (tree / "deep" / "nowhere.jpg").symlink_to(tree / "gone.jpg")
    assert names(find_pictures([tree / "deep"]), tree) == ["deep/b.webp", "deep/link.jpg", "deep/nowhere.jpg"]


def test_links_that_lead_back_up_or_to_themselves_end(tree: Path) -> None:
    (tree / "deep" / "up").symlink_to(tree, target_is_directory=True)
    (tree / "deep" / "self").symlink_to(tree / "deep" / "self")
    assert len(find_pictures([tree], recursive=True)) == 5


@pytest.mark.parametrize("name", ["absent.jpg", "", "a\0b", "Img1.png/x", "x" * 5000])
def test_a_path_that_does_not_exist(tree: Path, name: str) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        find_pictures([os.path.join(tree, name) if name else ""])  # noqa: PTH118 - pathlib would mend the name


def test_a_folder_without_pictures(tree: Path) -> None:
    empty = tree / "empty"
    empty.mkdir()
    with pytest.raises(UsageError, match=r"no pictures in .*empty$"):
        find_pictures([tree, empty])
    with pytest.raises(UsageError, match=r"no pictures in .*empty$"):
        find_pictures([empty], recursive=True)


def test_a_folder_whose_pictures_lie_deeper_points_to_recursion(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.jpg").touch()
    with pytest.raises(UsageError, match=r"no pictures in .*; -r looks into its sub-folders"):
        find_pictures([tmp_path])
    assert find_pictures([tmp_path], recursive=True) == [tmp_path / "sub" / "a.jpg"]


def test_no_paths_are_no_pictures() -> None:
    assert find_pictures([]) == []
