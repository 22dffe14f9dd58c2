"""Which pictures a user means by a list of files and folders."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from capcli.errors import UsageError

EXTENSIONS = frozenset(
    f".{extension}"
    for extension in (
        *("jpg", "jpeg", "jpe", "jfif", "jp2", "j2k", "png", "apng", "gif", "webp", "avif", "heic", "heif"),
        *("tif", "tiff", "bmp", "dib", "tga", "qoi", "ppm", "pgm", "pbm", "pnm"),
    )
)


def find_pictures(paths: Sequence[str | Path], *, recursive: bool = False) -> list[Path]:
    """List the pictures that `paths` name, in the order given, each once.

    Files are taken as named, whatever their extension. A folder contributes the files in it that have a known
    extension and are not hidden, naturally sorted (img2 before img10); with `recursive`, then those of its
    sub-folders. A sub-folder that may not be looked into is listed itself: reading it gives the reason.

    Raises:
        UsageError: for a path that does not exist, and for a folder without pictures.
    """
    found: dict[tuple[str, str], Path] = {}
    for path in paths:
        if _is_folder(path):
            pictures = list(_walk(Path(path), recursive))
            if not pictures:
                raise UsageError(_no_pictures(Path(path), recursive))
        else:
            pictures = [Path(path)]
        for picture in pictures:
            # The folder is resolved and the name is not: a link beside its target is a picture of its own.
            found.setdefault((os.path.realpath(picture.parent), picture.name), picture)
    return list(found.values())


def _is_folder(path: str | Path) -> bool:
    try:
        # Not Path.stat: to it "" is the current folder.
        return stat.S_ISDIR(os.stat(path).st_mode)  # noqa: PTH116
    except PermissionError:
        return False  # it may well exist; reading it tells
    except (OSError, ValueError):
        raise UsageError(f"no such file or folder: {path}") from None


def _no_pictures(folder: Path, recursive: bool) -> str:
    if not recursive and any(True for _ in _walk(folder, recursive=True)):
        return f"no pictures in {folder} itself; -r looks into its sub-folders"
    return f"no pictures in {folder}"


def _walk(folder: Path, recursive: bool) -> Iterator[Path]:
    seen: set[str] = set()
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        real = os.path.realpath(here)
        if real in seen:  # a link that leads back up
            continue
        seen.add(real)
        try:
            entries = sorted(os.scandir(here), key=_natural)
        except OSError as error:
            if here == folder:
                raise UsageError(f"cannot look into {folder}: {str(error.strerror).lower()}") from None
            yield here
            continue
        visible = [entry for entry in entries if not entry.name.startswith(".")]
        folders = [here / entry.name for entry in visible if _is_dir(entry)]
        pictures = [here / entry.name for entry in visible if Path(entry.name).suffix.lower() in EXTENSIONS]
        yield from (picture for picture in pictures if picture not in folders)
        if recursive:
            waiting += reversed(folders)


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _natural(entry: os.DirEntry[str]) -> tuple[list[str | int], str]:
    parts = re.split("([0-9]+)", entry.name.casefold())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], entry.name
