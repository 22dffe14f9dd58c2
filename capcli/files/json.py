"""JSON that holds the name of any file."""

from __future__ import annotations

import json


def dumps(value: object, indent: int | None = None) -> bytes:
    """JSON in UTF-8."""
    # An undecodable byte of a name stands in the string as a lone surrogate, which UTF-8 cannot hold;
    # written with a backslash it is the JSON escape that Python reads back to the same name.
    return json.dumps(value, ensure_ascii=False, indent=indent).encode("utf-8", "backslashreplace")
