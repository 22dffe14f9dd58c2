"""The card of a model: the Markdown file beside it, for people."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from capcli.errors import ModelError, system_reason

_HASH = re.compile(r"SHA-256\W{1,4}([0-9a-f]{64})\b")


@dataclass(frozen=True)
class Card:
    """A card, which need not be there.

    Attributes:
        file: where it is, or would be.
    """

    file: Path

    @property
    def text(self) -> str | None:
        """What it says, None where there is none; bytes that are no text become U+FFFD.

        Raises:
            ModelError: if it cannot be read.
        """
        if not self.file.is_file():
            return None
        try:
            return self.file.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise ModelError(f"{self.file}: cannot be read ({system_reason(error)})") from None

    @property
    def sha256(self) -> str | None:
        """The hash that it says the model file has, in hexadecimal; None where it names none."""
        found = _HASH.search(self.text or "")
        return found[1] if found else None
