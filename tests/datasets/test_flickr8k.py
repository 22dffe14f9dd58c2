from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from capcli.datasets import flickr8k
from capcli.errors import DatasetError

TOKENS = (
    "a.jpg#0\tA dog runs .\n"
    "a.jpg#1\tA dog runs .\n"
    "b.jpg#0\tTwo  children play .\r\n"
    "b.jpg#1\t\n"
    "c.jpg#0\tA man sits .\n"
    "d.jpg#0\tA boat .\n"
)


@pytest.fixture
def folder(tmp_path: Path, touch: Callable[..., None]) -> Path:
    touch(tmp_path / "images", "a.jpg", "b.jpg", "c.jpg", "d.jpg")
    (tmp_path / "Flickr8k.token.txt").write_text(TOKENS)
    for split, name in (("train", "a.jpg"), ("dev", "b.jpg"), ("test", "c.jpg")):
        (tmp_path / f"Flickr_8k.{split}Images.txt").write_text(f"{name}\n\n")
    return tmp_path


def test_token_file_with_split_lists(folder: Path) -> None:
    assert flickr8k.recognises(folder)
    dataset = flickr8k.read(folder)
    assert dataset.name == folder.name
    assert [(item.image.name, item.split, item.captions) for item in dataset.items] == [
        ("a.jpg", "train", ("A dog runs .", "A dog runs .")),
        ("b.jpg", "dev", ("Two children play .",)),
        ("c.jpg", "test", ("A man sits .",)),
        ("d.jpg", "rest", ("A boat .",)),
    ]
    assert dataset.items[0].image == folder / "images" / "a.jpg"
    assert flickr8k.read(folder / "Flickr8k.token.txt") == dataset


def test_folders_of_the_published_archives(folder: Path) -> None:
    (folder / "images").rename(folder / "Flicker8k_Dataset")
    text = folder / "Flickr8k_text"
    text.mkdir()
    for file in list(folder.glob("*.txt")):
        file.rename(text / file.name)
    dataset = flickr8k.read(folder)
    assert [len(dataset.split(name)) for name in ("train", "dev", "test", "rest")] == [1, 1, 1, 1]


def test_captions_txt_without_lists_is_all_train(tmp_path: Path, touch: Callable[..., None]) -> None:
    touch(tmp_path / "Images", "a.jpg", "b.jpg")
    (tmp_path / "captions.txt").write_text(
        '\ufeffimage,caption\r\na.jpg,A dog , a cat .\r\na.jpg,"A sign , ""stop"" ."\r\nb.jpg,"Hello" on a wall .\r\n',
        encoding="utf-8",
        newline="",
    )
    assert flickr8k.recognises(tmp_path)
    items = flickr8k.read(tmp_path).items
    assert [item.captions for item in items] == [
        ("A dog , a cat .", 'A sign , "stop" .'),
        ('"Hello" on a wall .',),
    ]
    assert {item.split for item in items} == {"train"}


def test_captions_txt_with_other_content_is_not_flickr8k(tmp_path: Path) -> None:
    (tmp_path / "captions.txt").write_text("a dog\na cat\n")
    assert not flickr8k.recognises(tmp_path)


def test_the_entry_that_never_had_an_image_is_skipped(folder: Path) -> None:
    with (folder / "Flickr8k.token.txt").open("a") as tokens:
        tokens.write("e.jpg.1#0\tA ghost .\n")
    assert len(flickr8k.read(folder)) == 4


def test_missing_images_are_counted_and_the_first_is_named(folder: Path) -> None:
    (folder / "images" / "b.jpg").unlink()
    (folder / "images" / "d.jpg").unlink()
    with pytest.raises(DatasetError, match=r"2 of 4 images are missing on disk, first .*b\.jpg"):
        flickr8k.read(folder)


def test_broken_line_is_named(folder: Path) -> None:
    (folder / "Flickr8k.token.txt").write_text("a.jpg#0\tA dog .\n\nb.jpg A cat .\n")
    with pytest.raises(DatasetError, match="line 3"):
        flickr8k.read(folder)


def test_image_in_two_lists(folder: Path) -> None:
    (folder / "Flickr_8k.testImages.txt").write_text("c.jpg\na.jpg\n")
    with pytest.raises(DatasetError, match=r"line 2: a\.jpg is in the train list"):
        flickr8k.read(folder)


def test_text_in_another_encoding(folder: Path) -> None:
    (folder / "Flickr8k.token.txt").write_bytes("a.jpg#0\tA dog .\na.jpg#1\tA café .\n".encode("latin-1"))
    with pytest.raises(DatasetError, match="line 2: not UTF-8"):
        flickr8k.read(folder)
