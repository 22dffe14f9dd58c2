"""`POST /v1/heatmaps`: for each word of a caption where the model looked, as numbers and as pictures."""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from PIL import Image

from capcli.heatmap.overlay import overlay
from capcli.heatmap.raw import tell_weights
from capcli.serve.captions import require_any, tell_keywords
from capcli.serve.desk import Seen
from capcli.serve.wish import METHOD, Wish

if TYPE_CHECKING:
    from capcli.arrays import UInt8Array
    from capcli.caption import Caption


def tell_heatmaps(pictures: Sequence[Seen], wish: Wish, model: str) -> dict[str, object]:
    """What the client gets: for each picture what `capcli attend --as json` writes, or an error.

    Raises:
        Refused: if no picture could be read.
    """
    require_any(pictures)
    return {"model": model, "method": METHOD, "results": [_tell(picture, wish) for picture in pictures]}


def _tell(picture: Seen, wish: Wish) -> dict[str, object]:
    if picture.caption is None:
        return {"name": picture.name, "error": picture.error.reason if picture.error else ""}
    chosen = tuple(word for word in picture.caption.words if not wish.words or word.text in wish.words)
    if wish.words and not chosen:
        which = ", ".join(sorted(wish.words))
        return {"name": picture.name, "error": f"none of {which} is in its caption, {picture.caption.text!r}"}
    caption = dataclasses.replace(picture.caption, words=chosen)
    result: dict[str, Any] = {"name": picture.name, **tell_weights(caption, size=picture.size, heads=False)}
    if picture.view is not None:
        for word, drawn in zip(result["words"], _draw(caption, picture.view), strict=True):
            word["overlay"] = drawn
    result.pop("keywords", None)
    return result | tell_keywords(caption, wish.keywords)


def _draw(caption: Caption, view: UInt8Array) -> list[str]:
    """Each word's map over the picture, as PNG in base64."""
    picture = Image.fromarray(view)
    drawn = []
    for word in caption.words:
        file = io.BytesIO()
        overlay(picture, word.heatmap(picture.size)).save(file, "PNG")
        drawn.append(base64.b64encode(file.getvalue()).decode())
    return drawn
