"""Pictures, each with a text of the same name, as txt sidecars of capcli are and files of kohya, taggui and ComfyUI."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from capcli.datasets.dataset import Entry, read_lines
from capcli.errors import DatasetError, system_reason
from capcli.files.text_row import KEYWORDS
from capcli.pictures.kinds import EXTENSIONS

EXPECTS = (
    "a folder of pictures with a .txt of the same name beside each (a.jpg and a.txt or a.jpg.txt), a caption a line"
)


def recognises(path: Path) -> bool:
    """Whether `path` is a folder in which, or in a sub-folder of which, some picture has a text."""
    return path.is_dir() and any(text is not None for _, text in _pictures(path))


def entries(path: Path) -> Iterator[Entry]:
    """Reads the pictures of a folder and of its sub-folders, each with its text, a caption a line.

    A line of keywords, as a txt sidecar may have, is no caption. The text of a.jpg is a.jpg.txt, or else a.txt,
    whatever the case of `.txt`. Pictures without a text have no captions; hidden files and folders, and links to
    folders, are left out.

    Raises:
        DatasetError: a text is not in UTF-8, or cannot be read.
    """
    for image, text in _pictures(path):
        lines = [line for _, line in read_lines(text) if not line.startswith(KEYWORDS)] if text is not None else []
        yield Entry.of(str(text or image), image.relative_to(path).as_posix(), image, lines)


def _pictures(root: Path) -> Iterator[tuple[Path, Path | None]]:
    """Pictures, each with its text if it has one."""
    for place, folders, files in os.walk(root, onerror=_refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        shown = dict.fromkeys(sorted(name for name in files if not name.startswith(".")))
        texts = {name[: -len(".txt")]: Path(place, name) for name in shown if name.lower().endswith(".txt")}
        for picture in (Path(place, name) for name in shown):
            if picture.suffix.lower() in EXTENSIONS:
                # With an a.png beside them a.jpg has a.jpg.txt, which is not the text of a.jpg.jpg.
                yield picture, texts.get(picture.name) or (None if picture.stem in shown else texts.get(picture.stem))


def _refuse(error: OSError) -> None:
    raise DatasetError(f"{error.filename}: {system_reason(error)}") from None
