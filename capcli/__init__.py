"""capcli turns photographs into English sentences and shows where it looked for every word.

from capcli import Captioner

captioner = Captioner.load()
print(captioner.caption("photo.jpg").text)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from capcli.errors import CapcliError, DatasetError, ModelError, UnreadableImage, UsageError
from capcli.version import __version__

if TYPE_CHECKING:
    from capcli.caption import Caption, Word
    from capcli.captioner import Captioner
    from capcli.keywords.keyword import Keyword

__all__ = [
    "CapcliError",
    "Caption",
    "Captioner",
    "DatasetError",
    "Keyword",
    "ModelError",
    "UnreadableImage",
    "UsageError",
    "Word",
    "__version__",
]

if not TYPE_CHECKING:  # a type checker would take it that every name is there

    def __getattr__(name: str) -> object:
        # `capcli --help` must not wait for torch, which the captioner brings, nor for numpy.
        if name == "Captioner":
            from capcli.captioner import Captioner

            return Captioner
        if name in ("Caption", "Keyword", "Word"):
            from capcli import caption

            return getattr(caption, name)
        raise AttributeError(f"module 'capcli' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
