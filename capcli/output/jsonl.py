"""Results as JSON Lines: one object per line, errors included."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import BinaryIO

from capcli.output import Result


class JsonLinesWriter:
    """Writes `{"path", "caption", "confidence", "model"}` or `{"path", "error"}` for each result, in UTF-8.

    Args:
        stream: takes bytes, e.g. `sys.stdout.buffer`; flushed after every line.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, result: Result) -> None:
        row = {key: value for key, value in asdict(result).items() if value is not None}
        line = json.dumps(row | {"path": str(result.path)}, ensure_ascii=False)
        # An undecodable byte of a name stands in the string as a lone surrogate, which UTF-8 cannot hold;
        # written with a backslash it is the JSON escape that Python reads back to the same name.
        self._stream.write(line.encode("utf-8", "backslashreplace") + b"\n")
        self._stream.flush()
