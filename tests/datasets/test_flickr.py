from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from capcli.datasets import flickr, read_dataset
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
    assert flickr.recognises(folder)
    dataset = read_dataset(folder)
    assert dataset.name == folder.name
    assert [(item.image.name, item.split, item.captions) for item in dataset.items] == [
        ("a.jpg", "train", ("A dog runs .", "A dog runs .")),
        ("b.jpg", "dev", ("Two  children play .",)),
        ("c.jpg", "test", ("A man sits .",)),
        ("d.jpg", "rest", ("A boat .",)),
    ]
    assert dataset.items[0].image == folder / "images" / "a.jpg"
    assert read_dataset(folder / "Flickr8k.token.txt") == dataset


def test_folders_of_the_published_archives(folder: Path) -> None:
    (folder / "images").rename(folder / "Flicker8k_Dataset")
    text = folder / "Flickr8k_text"
    text.mkdir()
    for file in list(folder.glob("*.txt")):
        file.rename(text / file.name)
    dataset = read_dataset(folder)
    assert [len(dataset.split(name)) for name in ("train", "dev", "test", "rest")] == [1, 1, 1, 1]


def test_captions_txt_without_lists_is_all_train(tmp_path: Path, touch: Callable[..., None]) -> None:
    touch(tmp_path / "Images", "a.jpg", "b.jpg")
    (tmp_path / "captions.txt").write_text(
        '\ufeffimage,caption\r\na.jpg,A dog , a cat .\r\na.jpg,"A sign , ""stop"" ."\r\nb.jpg,"Hello" on a wall .\r\n',
        encoding="utf-8",
        newline="",
    )
    assert flickr.recognises(tmp_path)
    items = read_dataset(tmp_path).items
    assert [item.captions for item in items] == [
        ("A dog , a cat .", 'A sign , "stop" .'),
        ('"Hello" on a wall .',),
    ]
    assert {item.split for item in items} == {"train"}


@pytest.mark.parametrize(("separator", "form"), [(";", "name.jpg;caption"), ("\t", "name.jpg<TAB>caption")])
def test_captions_txt_that_a_spreadsheet_saved(
    tmp_path: Path, touch: Callable[..., None], separator: str, form: str
) -> None:
    touch(tmp_path / "Images", "a.jpg", "b.jpg")
    rows = ["image", "caption"], ["a.jpg", "A dog , a cat ."], ["a.jpg", ""], ["b.jpg", '"Hello" on a wall .']
    text = "".join(f"{separator.join(row)}\r\n" for row in rows)
    (tmp_path / "captions.txt").write_text(text, encoding="utf-8-sig", newline="")
    assert [item.captions for item in read_dataset(tmp_path).items] == [("A dog , a cat .",), ('"Hello" on a wall .',)]
    (tmp_path / "captions.txt").write_text(f"{text}A dog.\n")
    with pytest.raises(DatasetError, match=f"line 5: not of the form {form}"):
        read_dataset(tmp_path)


def test_captions_txt_with_other_content_is_not_flickr8k(tmp_path: Path) -> None:
    (tmp_path / "captions.txt").write_text("a dog\na cat\n")
    assert not flickr.recognises(tmp_path)


def test_the_entry_that_never_had_an_image_is_skipped(folder: Path) -> None:
    with (folder / "Flickr8k.token.txt").open("a") as tokens:
        tokens.write("e.jpg.1#0\tA ghost .\n")
    assert len(read_dataset(folder)) == 4


def test_missing_images_are_counted_and_the_first_is_named(folder: Path) -> None:
    (folder / "images" / "b.jpg").unlink()
    (folder / "images" / "d.jpg").unlink()
    with pytest.raises(DatasetError, match=r"2 of 4 images are missing on disk, first .*b\.jpg"):
        read_dataset(folder)


def test_broken_line_is_named(folder: Path) -> None:
    (folder / "Flickr8k.token.txt").write_text("a.jpg#0\tA dog .\n\nb.jpg A cat .\n")
    with pytest.raises(DatasetError, match="line 3"):
        read_dataset(folder)


def test_image_in_two_lists(folder: Path) -> None:
    (folder / "Flickr_8k.testImages.txt").write_text("c.jpg\na.jpg\n")
    with pytest.raises(DatasetError, match=r"line 2: a\.jpg is in the train list"):
        read_dataset(folder)


def test_text_in_another_encoding(folder: Path) -> None:
    (folder / "Flickr8k.token.txt").write_bytes("a.jpg#0\tA dog .\na.jpg#1\tA café .\n".encode("latin-1"))
    with pytest.raises(DatasetError, match="line 2: not UTF-8"):
        read_dataset(folder)


THIRTY = {
    "results_20130124.token": "a.jpg#0\tA dog runs .\na.jpg#1\tA cat .\nb.jpg#0\tA boat .\n",
    # The published table lacks a bar in one line.
    "results.csv": (
        "image_name| comment_number| comment\na.jpg| 0| A dog runs .\na.jpg| 1   A cat .\nb.jpg| 0| A boat .\n"
    ),
}


@pytest.mark.parametrize("name", THIRTY)
@pytest.mark.parametrize("pictures", ["flickr30k_images", "flickr30k-images"])
def test_flickr30k(tmp_path: Path, touch: Callable[..., None], name: str, pictures: str) -> None:
    touch(tmp_path / pictures, "a.jpg", "b.jpg")
    (tmp_path / name).write_text(THIRTY[name])
    dataset = read_dataset(tmp_path)
    assert [(item.image, item.captions) for item in dataset.items] == [
        (tmp_path / pictures / "a.jpg", ("A dog runs .", "A cat .")),
        (tmp_path / pictures / "b.jpg", ("A boat .",)),
    ]
    assert read_dataset(tmp_path / name) == dataset


def test_flickr30k_as_the_archive_unpacks(tmp_path: Path, touch: Callable[..., None]) -> None:
    touch(tmp_path / "flickr30k_images" / "flickr30k_images", "a.jpg", "b.jpg")
    (tmp_path / "flickr30k_images" / "results.csv").write_text(THIRTY["results.csv"])
    assert len(read_dataset(tmp_path)) == 2


def test_broken_line_of_flickr30k(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text("image_name| comment_number| comment\na.jpg, 0, A dog .\n")
    with pytest.raises(DatasetError, match=r"line 2: not of the form name\.jpg\| 0\| caption"):
        read_dataset(tmp_path)


def test_other_results_are_not_flickr30k(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text("image,caption\n")
    assert not flickr.recognises(tmp_path)


def test_text_in_utf_16(folder: Path) -> None:
    (folder / "Flickr8k.token.txt").write_text(TOKENS, encoding="utf-16")
    with pytest.raises(DatasetError, match="is in UTF-16; save it in UTF-8"):
        read_dataset(folder)
