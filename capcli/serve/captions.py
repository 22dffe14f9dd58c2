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


def tell_captions(pictures: Sequence[Seen], wish: Wish, model: str) -> dict[str, object]:
    """What the client gets: the model, and a row for each picture, which has a caption or an error.

    Raises:
        Refused: if no picture could be read; it says why the first one could not.
    """
    require_any(pictures)
    return {"model": model, "results": [_tell(picture, wish, model) for picture in pictures]}


def require_any(pictures: Sequence[Seen]) -> None:
    """Raises Refused if no picture could be read."""
    first = pictures[0].error
    if first is not None and all(picture.error is not None for picture in pictures):
        raise refuse_picture(pictures[0].name, first)


def tell_keywords(caption: Caption, keywords: int) -> dict[str, object]:
    """The keywords that were asked for; nothing where none were."""
    return {"keywords": [keyword.to_json() for keyword in (caption.keywords or ())[:keywords]]} if keywords else {}


def _tell(picture: Seen, wish: Wish, model: str) -> dict[str, object]:
    reading = Reading(Path(), error=picture.error)
    row = make_result(reading, picture.caption, model, with_words=wish.with_words).row()
    result = {"name": picture.name} | {name: value for name, value in row.items() if name not in ("path", "model")}
    return result if picture.caption is None else result | tell_keywords(picture.caption, wish.keywords)
