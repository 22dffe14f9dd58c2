"""capcli turns photographs into English sentences and shows where it looked for every word.

from capcli import Captioner

captioner = Captioner.load()
print(captioner.caption("photo.jpg").text)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from capcli.errors import CapcliError, DatasetError, ModelError, UnreadableImage, UsageError

if TYPE_CHECKING:
    from capcli.captioner import Caption, Captioner, Word

__version__ = "0.1.0"
__all__ = [
    "CapcliError",
    "Caption",
    "Captioner",
    "DatasetError",
    "ModelError",
    "UnreadableImage",
    "UsageError",
    "Word",
    "__version__",
]


def __getattr__(name: str) -> Any:
    # The captioner brings torch, which takes seconds; `capcli --help` must not wait for it.
    if name in ("Caption", "Captioner", "Word"):
        from capcli import captioner

        return getattr(captioner, name)
    raise AttributeError(f"module 'capcli' has no attribute {name!r}")
