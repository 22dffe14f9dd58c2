"""Lists of paths, as `find`, `dir` and editors write them."""

from __future__ import annotations

import codecs
import os
import re
import sys
from pathlib import Path

from capcli.errors import UsageError, system_reason
from capcli.pictures.kinds import START, is_picture

_BINARY = re.compile(rb"\0\0|[\x01-\x08\x0e-\x1a]")


def read_list(source: str | Path, *, null: bool = False) -> list[str]:
    """Read paths, one a line, or each ended by a null byte as `find -print0` writes them.

    Relative paths are relative to the current folder, wherever the list lies. Names that are no text in any
    encoding survive, as `os.fsdecode` gives them. Blank lines do not count, nor does the carriage return of a
    line that Windows wrote, unless it is part of the name of a file.

    Args:
        source: a file, or "-" for stdin.
        null: whether the paths are separated by null bytes, so that they may hold line breaks.

    Raises:
        UsageError: for a list that cannot be read, names nothing, or is no list of this kind.
    """
    content, name = (_stdin(), "stdin") if str(source) == "-" else (_file(source), str(source))
    if is_picture(content[:START]):
        raise UsageError(f"{name} is a picture, not a list of paths; name it as a path of its own")
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise UsageError(f"{name} is in UTF-16; save the list in UTF-8")
    content = content.removeprefix(codecs.BOM_UTF8)
    if null:
        entries = [entry for entry in content.split(b"\0") if entry]
    elif b"\0" not in content:
        entries = [_without_return(entry) for entry in content.split(b"\n") if entry.strip()]
    elif _BINARY.search(content):
        raise UsageError(f"{name} is not a list of paths but binary data")
    else:
        raise UsageError(f"{name} separates its paths by null bytes; -0 reads it so")
    if not entries:
        raise UsageError(f"{name} names no pictures")
    try:
        return [os.fsdecode(entry) for entry in entries]
    except UnicodeDecodeError:  # on Windows, where paths are text
        raise UsageError(f"{name} is not in UTF-8; save the list in UTF-8") from None


def _stdin() -> bytes:
    if sys.stdin is None:
        raise UsageError("cannot read the list from stdin: it is closed")
    return sys.stdin.buffer.read()


def _file(source: str | Path) -> bytes:
    try:
        with open(source, "rb") as file:  # noqa: PTH123 - to Path "" is the current folder
            return file.read()
    except FileNotFoundError:
        raise UsageError(f"no such list: {source}") from None
    except (OSError, ValueError) as error:
        if os.path.isdir(source):  # noqa: PTH112 - never raises
            raise UsageError(f"{source} is a folder, not a list of paths; name it as a path of its own") from None
        raise UsageError(f"cannot read the list {source}: {system_reason(error)}") from None


def _without_return(entry: bytes) -> bytes:
    return entry[:-1] if entry.endswith(b"\r") and not os.path.lexists(entry) else entry
