"""Where a model looked for each word, as an HTML page to point at, and the index of a folder of such pages."""

from __future__ import annotations

import base64
import io
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np
from PIL import Image

from capcli.arrays import FloatArray, UInt8Array
from capcli.heatmap.colour import colours
from capcli.heatmap.mark import MARK
from capcli.heatmap.overlay import OPACITY, alphas
from capcli.heatmap.sentence import parts, probability, strongest
from capcli.output.html import data_uri, jpeg, render

if TYPE_CHECKING:
    from capcli.caption import Caption, Word

PAGE_BYTES = 400_000
"""What a page is kept below, as long as its weights take less than half of it."""

# Longer side in pixels and JPEG quality, the first that fits.
_PICTURES = ((1024, 88), (1024, 75), (1024, 60), (768, 55), (512, 50))

# Of the drawn heatmap; a browser stretches it over the picture, and it is too smooth for that to be seen.
_DRAWN_SIDE = 512

_THUMBNAIL_SIDE = 192


@dataclass(frozen=True)
class Entry:
    """What the index says of one picture.

    Attributes:
        name: what it is called.
        link: path of its page from the index's folder; None where there is no page.
        caption: its sentence.
        confidence: of the sentence, from 0 to 1.
        thumbnail: as `thumbnail` makes it.
        error: why there is no page, one clause.
    """

    name: str
    link: str | None = None
    caption: str | None = None
    confidence: float | None = None
    thumbnail: bytes | None = None
    error: str | None = None


def page(
    picture: Image.Image, caption: Caption, *, name: str, method: str, model: str, index: str | None = None
) -> bytes:
    """A page that shows the heatmap of the word one points at, goes to, or taps.

    It is one file that fetches nothing. The picture is in it as a JPEG of at most 1024 pixels a side; the heatmaps are
    computed in the browser, from weights of one byte each. Without JavaScript there are the picture, the sentence and
    a table of the words.

    Args:
        picture: upright, RGB, of any size.
        caption: from `Captioner.attend`: words with attention; where all have their heads, these can be chosen.
        name: what to call the picture, such as its path; undecodable bytes are shown as U+FFFD.
        method: that made the words' attention.
        model: its name.
        index: path of the index from the page's folder.

    Returns:
        UTF-8, below PAGE_BYTES for the shipped model.
    """
    layers, heads = _common_heads(caption.words)
    width, height = picture.size
    values: dict[str, object] = {
        "title": f"{caption.text or '(empty)'} - {name}",
        "generator": MARK,
        "name": name,
        "index": index and _url(index),
        "width": width,
        "height": height,
        "shape": "panorama" if width > 2.2 * height else "narrow" if height > 1.2 * width else "plain",
        "drawn": [max(1, round(side * _DRAWN_SIDE / max(picture.size))) for side in picture.size],
        "caption": caption,
        "runs": _runs(caption),
        "share": _share,
        "probability": probability,
        "strongest": strongest,
        "layers": layers,
        "heads": heads,
        "method": method,
        "model": model,
        "opacity": round(100 * OPACITY),
        "gradient": _gradient(),
        "data": _data(caption, layers * heads),
    }

    def made(content: bytes) -> bytes:
        return render("heatmap/page.html", uri=data_uri(content), **values)

    room = PAGE_BYTES - len(made(b""))
    return made(_fitting(picture, room * 3 // 4))


def index(entries: Sequence[Entry], *, title: str) -> bytes:
    """A page of small pictures that lead to their pages, and of those that failed.

    With thumbnails it grows by about 6 kB a picture: 0.6 MB for a hundred, 6 MB for a thousand. A browser lays out
    and decodes what is on the screen alone, so that thousands scroll as smoothly as ten. They can be searched by
    caption or name, and sorted by confidence.

    Args:
        entries: in the order to show them in.
        title: of the page; text.
    """
    shown = [entry for entry in entries if entry.error is None]
    failed = [entry for entry in entries if entry.error is not None]
    pictures = {entry.thumbnail: _embedded(entry.thumbnail) for entry in shown if entry.thumbnail}
    return render(
        "heatmap/index.html", title=title, generator=MARK, shown=shown, failed=failed, pictures=pictures, url=_url
    )


def thumbnail(picture: Image.Image) -> bytes:
    """A small WebP of an RGB picture for the index: at most 192 pixels a side, about 4 kB."""
    small = _shrunk(picture, _THUMBNAIL_SIDE)
    # WebP would take these over from the picture's own file, where they may be larger than the pixels.
    file = io.BytesIO()
    small.save(file, "WEBP", quality=60, icc_profile=b"", exif=b"")
    return file.getvalue()


def _fitting(picture: Image.Image, room: int) -> bytes:
    """The picture as JPEG in at most `room` bytes, or else as small as it is ever made."""
    content = b""
    for side, quality in _PICTURES:
        picture = _shrunk(picture, side)
        content = jpeg(picture, quality)
        if len(content) <= room:
            break
    return content


def _shrunk(picture: Image.Image, side: int) -> Image.Image:
    small = picture.copy()
    small.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return small


def _common_heads(words: Sequence[Word]) -> tuple[int, int]:
    """Layers and heads that every word has maps of; (0, 0) where one has none."""
    heads = {(0, 0) if word.heads is None else (word.heads.shape[0], word.heads.shape[1]) for word in words}
    return heads.pop() if len(heads) == 1 else (0, 0)


def _data(caption: Caption, heads: int) -> dict[str, object]:
    """What the page's script draws from; see `page.js`."""
    words = caption.words
    rows, columns = np.asarray(words[0].attention).shape if words else (1, 1)
    return {
        "rows": rows,
        "columns": columns,
        "box": list(words[0].box) if words else [0, 0, 1, 1],
        "words": [[word.text, probability(word), strongest(word)] for word in words],
        "maps": base64.b64encode(b"".join(_maps(word, heads > 0) for word in words)).decode(),
        "inks": base64.b64encode(_inks()).decode(),
    }


def _maps(word: Word, with_heads: bool) -> bytes:
    """The word's attention, then its heads layer by layer: rows x columns bytes each, its largest weight being 255."""
    attention = np.asarray(word.attention, np.float64)
    heads = word.heads.reshape(-1, *attention.shape) if with_heads and word.heads is not None else ()
    return b"".join(_bytes(weights) for weights in (attention, *heads))


def _bytes(weights: FloatArray) -> bytes:
    levels: UInt8Array = np.rint(255 * (weights / max(weights.max(), np.finfo(np.float32).tiny))).astype(np.uint8)
    return levels.tobytes()


def _inks() -> bytes:
    """RGBA of each of 256 strengths over a picture at full opacity, by the formula of `overlay`."""
    return np.column_stack([colours(), alphas(1)]).tobytes()


def _gradient() -> str:
    return ", ".join(f"rgb({red} {green} {blue})" for red, green, blue in colours()[::15].tolist())


def _runs(caption: Caption) -> list[list[tuple[str, Word | None]]]:
    """The sentence, cut at its spaces: in each piece the words, and what is written before, between and behind them."""
    runs: list[list[tuple[str, Word | None]]] = [[]]
    for text, place in parts(caption):
        if place is None:
            first, *others = re.split(r"\s+", text)
            runs[-1].append((first, None))
            runs += [[(other, None)] for other in others]
        else:
            runs[-1].append((text, caption.words[place]))
    tidy = ([(text, word) for text, word in run if text or word] for run in runs)
    return [run for run in tidy if run]


def _share(word: Word) -> float:
    return math.exp(word.log_probability) if word.known else 0.0


def _embedded(thumbnail: bytes) -> tuple[str, int, int]:
    """A thumbnail as an address that holds it, its width and its height."""
    return data_uri(thumbnail, "image/webp"), *Image.open(io.BytesIO(thumbnail)).size


def _url(path: str) -> str:
    return quote(os.fsencode(path.replace(os.sep, "/")))
