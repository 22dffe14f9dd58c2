"""Flickr8k: the token file with its official split lists, or the `captions.txt` that is common today."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from capcli.datasets.dataset import Dataset, gather, image_folders, locate, read_lines, read_text
from capcli.errors import DatasetError

EXPECTS = "Flickr8k (Flickr8k.token.txt or captions.txt)"

_TOKEN_FILE = "Flickr8k.token.txt"
_CAPTIONS_FILE = "captions.txt"
_HEADER = "image,caption"
_TOKEN_LINE = re.compile(r"(?P<image>[^\t]+)#\d+\t(?P<caption>.*)")
_PICTURE = re.compile(r"\.(jpe?g|png|webp|bmp|gif|tiff?)$", re.IGNORECASE)


def recognises(path: Path) -> bool:
    """Whether `path` is, or is a folder that holds, a Flickr8k caption file."""
    return _caption_file(path) is not None


def read(path: Path, *, missing_ok: bool = False) -> Dataset:
    """Reads a Flickr8k folder, or its caption file.

    Split lists (`Flickr_8k.trainImages.txt` and so on) lie beside the caption file; pictures in none of them
    are "rest", and without any list all are "train". Pictures lie in the same folder or in `images/`,
    `Images/`, `Flicker8k_Dataset/` or `Flickr8k_Dataset/` in it, or beside it if it is `Flickr8k_text/`.

    Raises:
        DatasetError: a broken line, a missing picture, a picture in two lists, or no captions.
    """
    source = _caption_file(path)
    if source is None:
        raise DatasetError(f"{path}: has neither {_TOKEN_FILE} nor a {_CAPTIONS_FILE} that begins with {_HEADER!r}")
    return gather(source, _captioned(source), missing_ok=missing_ok)


def _caption_file(path: Path) -> Path | None:
    files = (
        [path] if path.is_file() else [path / _TOKEN_FILE, path / "Flickr8k_text" / _TOKEN_FILE, path / _CAPTIONS_FILE]
    )
    for file in files:
        if file.name == _TOKEN_FILE and file.is_file():
            return file
        if file.name == _CAPTIONS_FILE and file.is_file() and _has_header(file):
            return file
    return None


def _has_header(file: Path) -> bool:
    return read_text(file).partition("\n")[0].strip().lower() == _HEADER


def _captioned(source: Path) -> Iterator[tuple[Path, str, str]]:
    folders = image_folders(source.parent)
    if source.parent.name == "Flickr8k_text":
        folders += image_folders(source.parent.parent)
    splits = _splits(source.parent)
    lines = _token_lines(source) if source.name == _TOKEN_FILE else _csv_lines(source)
    for name, caption in lines:
        image = locate(name, folders)
        # The published token file captions a "2258277193_586949ec62.jpg.1" that was never in the archive.
        if not _PICTURE.search(name) and not image.is_file():
            continue
        yield image, caption, splits.get(name, "rest") if splits else "train"


def _token_lines(source: Path) -> Iterator[tuple[str, str]]:
    for number, line in read_lines(source):
        # An empty caption loses its tab to stripping; it is ignored like any other empty caption.
        match = _TOKEN_LINE.fullmatch(line) or _TOKEN_LINE.fullmatch(line + "\t")
        if match is None:
            raise DatasetError(f"{source}, line {number}: not of the form name.jpg#0<TAB>caption")
        yield match["image"].strip(), match["caption"]


def _csv_lines(source: Path) -> Iterator[tuple[str, str]]:
    # By hand, because copies are about in which captions with commas or a lone quotation mark are not quoted.
    for number, line in read_lines(source)[1:]:
        name, comma, caption = line.partition(",")
        if not comma or not name.strip():
            raise DatasetError(f"{source}, line {number}: not of the form name.jpg,caption")
        if len(caption) > 1 and caption[0] == caption[-1] == '"':
            caption = caption[1:-1].replace('""', '"')
        yield name.strip(), caption


def _splits(folder: Path) -> dict[str, str]:
    splits: dict[str, str] = {}
    for split in ("train", "dev", "test"):
        names = folder / f"Flickr_8k.{split}Images.txt"
        for number, name in read_lines(names) if names.is_file() else []:
            if splits.setdefault(name, split) != split:
                raise DatasetError(f"{names}, line {number}: {name} is in the {splits[name]} list as well")
    return splits
