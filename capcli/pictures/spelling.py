"""Paths as other programs spell them: file managers, browsers and terminals, when somebody drags a file there."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Path makes one slash of two, and a process that reads pictures is told where the current folder would have them. A
# single letter is a drive of Windows.
_ADDRESS = re.compile(r"(?:^|[/\\])(?!file:)[a-z][a-z0-9+.-]+:[/\\]", re.IGNORECASE)


def respell(path: str | Path) -> str | Path:
    """The path that is meant: `path` itself if it exists, otherwise what it stands for, if that exists.

    It may be a `file:` URL, stand in quotes, or have backslashes before its blanks and other letters, as in a shell.
    """
    text = str(path)
    if not _is_odd(text) or os.path.lexists(text):
        return path
    return next((meant for meant in _meanings(text) if os.path.lexists(meant)), path)


def explain_absence(*paths: str | Path) -> str:
    """What follows the news that paths do not exist: for an address on the web what to do, else nothing."""
    if not any(_ADDRESS.search(str(path)) for path in paths):
        return ""
    return " (capcli reads files; what has an address must be downloaded first)"


def _is_odd(text: str) -> bool:
    return text.strip()[:5].lower() == "file:" or text.strip()[:1] in ("'", '"') or "\\" in text


def _meanings(text: str) -> list[str]:
    if text.strip()[:5].lower() == "file:":
        url = urlsplit(text.strip())
        # A question mark is part of a name here, and other programs do not always write it as %3F.
        rest = url.path + (f"?{url.query}" if url.query else "") + (f"#{url.fragment}" if url.fragment else "")
        local = url.netloc in ("", "localhost")
        return [_local_path(rest)] if local else []
    try:
        words = shlex.split(text)
    except ValueError:  # a quotation mark that is never closed
        return []
    return words if len(words) == 1 else []


def _local_path(path: str) -> str:
    if os.name != "nt":
        return unquote(path, errors="surrogateescape")
    from urllib.request import url2pathname  # which imports all that http needs

    return url2pathname(path)
