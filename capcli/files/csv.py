"""Comma-separated values (RFC 4180) that hold the name of any file."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable

# Python writes an undecodable byte of a name as a lone surrogate of one kind; Windows has names with others.
_NAMES = "surrogatepass" if os.name == "nt" else "surrogateescape"
_HALVES = re.compile("[\ud800-\udc7f\udd00-\udfff]")


def encode_record(cells: Iterable[object], *, separator: str = ",", quote_texts: bool = False) -> bytes:
    r"""A record in UTF-8, with the line feed that ends it.

    A name keeps its bytes: quotation marks hold its commas and line breaks, and bytes that are no UTF-8 stay as they
    are. Half a character, which no other text can hold, becomes U+FFFD.

    Args:
        cells: texts and numbers; None is an empty cell.
        separator: what stands between two cells, one character.
        quote_texts: put all texts in quotation marks, and not only those that need them.
    """
    line = io.StringIO()
    writer = csv.writer(
        line,
        delimiter=separator,
        quoting=csv.QUOTE_NONNUMERIC if quote_texts else csv.QUOTE_MINIMAL,
        # Only what ends a record is sure to be quoted, and readers end one at \r as well as at \n.
        lineterminator="\r\n",
    )
    writer.writerow(cells)
    text = line.getvalue().removesuffix("\r\n") + "\n"
    return (text if _NAMES == "surrogatepass" else _HALVES.sub("\ufffd", text)).encode("utf-8", _NAMES)
