"""`POST /v1/captions`: rows as `capcli caption` writes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from capcli.pictures.stream import Reading
from capcli.runs.batches import make_result
from capcli.serve.desk import Seen
from capcli.serve.refusal import refuse_picture

if TYPE_CHECKING:
    from capcli.caption import Caption
    from capcli.serve.wish import Wish


def tell_captions(seen: Sequence[Seen], wish: Wish, model: str) -> dict[str, object]:
    """What the client gets: the model, and a row for each picture, which has a caption or an error.

    Raises:
        Refused: if no picture could be read; it says why the first one could not.
    """
    require_any(seen)
    return {"model": model, "results": [_tell(one, wish, model) for one in seen]}


def require_any(seen: Sequence[Seen]) -> None:
    """Raises Refused if no picture could be read."""
    first = seen[0].error
    if first is not None and all(one.error is not None for one in seen):
        raise refuse_picture(seen[0].name, first)


def tell_keywords(caption: Caption, keywords: int) -> dict[str, object]:
    """The keywords that were asked for; nothing where none were."""
    return {"keywords": [one.to_json() for one in (caption.keywords or ())[:keywords]]} if keywords else {}


def _tell(one: Seen, wish: Wish, model: str) -> dict[str, object]:
    reading = Reading(Path(), error=one.error)
    row = make_result(reading, one.caption, model, with_words=wish.with_words).row()
    told = {"name": one.name} | {name: value for name, value in row.items() if name not in ("path", "model")}
    return told if one.caption is None else told | tell_keywords(one.caption, wish.keywords)
