"""Flickr8k and Flickr30k: the published token files, or the tables that are common today."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from capcli.datasets.dataset import Entry, image_folders, is_there, locate, read_lines, read_text
from capcli.errors import DatasetError

EXPECTS = "Flickr8k (Flickr8k.token.txt or captions.txt), Flickr30k (results_20130124.token or results.csv)"

_TOKEN_FILES = ("Flickr8k.token.txt", "results_20130124.token")
_TOKEN_LINE = re.compile(r"(?P<image>[^\t]+)#\d+\t(?P<caption>.*)")
# Kaggle's results.csv lacks the second bar in one line.
_BAR_LINE = re.compile(r"(?P<image>[^|]+)\|\s*\d+\s*[|\s](?P<caption>.*)")
_PICTURE = re.compile(r"\.(jpe?g|png|webp|bmp|gif|tiff?)$", re.IGNORECASE)
# The folders that archives put between the one they are unpacked in and the captions.
_FOLDERS = ("Flickr8k_text", "flickr30k_images")


def recognises(path: Path) -> bool:
    """Whether `path` is, or is a folder that holds, a caption file of Flickr8k or Flickr30k."""
    return _source(path) is not None


def entries(path: Path) -> Iterator[Entry]:
    """Reads a Flickr8k or Flickr30k folder, or its caption file.

    Split lists (`Flickr_8k.trainImages.txt` and so on) lie beside the caption file; pictures in none of them
    are "rest", and without any list there are no splits. Pictures lie in the same folder or in `images/`,
    `Flicker8k_Dataset/`, `flickr30k_images/` and the like in it, or beside it if it is `Flickr8k_text/`.

    Raises:
        DatasetError: a broken line, or a picture in two lists.
    """
    source = _source(path)
    if source is None:
        raise DatasetError(f"{path}: not {EXPECTS}")
    file, lines = source
    folders = image_folders(file.parent)
    if file.parent.name in _FOLDERS:
        folders += image_folders(file.parent.parent)
    splits = _splits(file.parent)
    captions: dict[str, list[str]] = {}
    for name, caption in lines(file):
        captions.setdefault(name, []).append(caption)
    for name, texts in captions.items():
        image = locate(name, folders)
        # The published token file captions a "2258277193_586949ec62.jpg.1" that was never in the archive.
        if _PICTURE.search(name) or is_there(image):
            yield Entry.of(str(file), name, image, texts, splits.get(name, "rest") if splits else None)


_Reader = Callable[[Path], Iterator[tuple[str, str]]]


def _source(path: Path) -> tuple[Path, _Reader] | None:
    """The caption file, and what reads it."""
    names = (*_TOKEN_FILES, *_TABLES)
    files = [path] if path.is_file() else [path / folder / name for folder in ("", *_FOLDERS) for name in names]
    found = ((file, reader) for file in files if file.is_file() and (reader := _reader(file)))
    return next(found, None)


def _reader(file: Path) -> _Reader | None:
    if file.name in _TOKEN_FILES:
        return _token_lines
    if file.name not in _TABLES:
        return None
    header, reader = _TABLES[file.name]
    first = read_text(file).partition("\n")[0]
    return reader if header.fullmatch(first.strip()) else None


def _token_lines(file: Path) -> Iterator[tuple[str, str]]:
    for number, line in read_lines(file):
        # An empty caption loses its tab to stripping; it is ignored like any other empty caption.
        match = _TOKEN_LINE.fullmatch(line) or _TOKEN_LINE.fullmatch(line + "\t")
        if match is None:
            raise DatasetError(f"{file}, line {number}: not of the form name.jpg#0<TAB>caption")
        yield match["image"].strip(), match["caption"]


def _caption_lines(file: Path) -> Iterator[tuple[str, str]]:
    # By hand, because copies are about in which captions with commas or a lone quotation mark are not quoted.
    (_, header), *lines = read_lines(file)
    separator = header[len("image") :].strip(" ")[0]
    for number, line in lines:
        name, found, caption = line.partition(separator)
        # An empty caption loses its tab to stripping.
        whole = found or (separator == "\t" and _PICTURE.search(name))
        if not whole or not name.strip():
            form = separator.replace("\t", "<TAB>").join(("name.jpg", "caption"))
            raise DatasetError(f"{file}, line {number}: not of the form {form}")
        if len(caption) > 1 and caption[0] == caption[-1] == '"':
            caption = caption[1:-1].replace('""', '"')
        yield name.strip(), caption


def _bar_lines(file: Path) -> Iterator[tuple[str, str]]:
    for number, line in read_lines(file)[1:]:
        match = _BAR_LINE.fullmatch(line)
        if match is None:
            raise DatasetError(f"{file}, line {number}: not of the form name.jpg| 0| caption")
        yield match["image"].strip(), match["caption"].strip()


_TABLES: dict[str, tuple[re.Pattern[str], _Reader]] = {
    "captions.txt": (re.compile(r"image *[,;\t] *caption", re.IGNORECASE), _caption_lines),
    "results.csv": (re.compile(r"image_name\s*\|\s*comment_number\s*\|\s*comment", re.IGNORECASE), _bar_lines),
}
"""Of each table the header, and what reads it."""


def _splits(folder: Path) -> dict[str, str]:
    splits: dict[str, str] = {}
    for split in ("train", "dev", "test"):
        names = folder / f"Flickr_8k.{split}Images.txt"
        for number, name in read_lines(names) if names.is_file() else []:
            if splits.setdefault(name, split) != split:
                raise DatasetError(f"{names}, line {number}: {name} is in the {splits[name]} list as well")
    return splits
