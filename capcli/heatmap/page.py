"""Where a model looked for each word, as an HTML page to point at, and the index of a folder of such pages."""

from __future__ import annotations

import base64
import io
import json
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np
from PIL import Image

from capcli.heatmap.colour import colours
from capcli.heatmap.mark import MARK
from capcli.heatmap.overlay import OPACITY, alphas
from capcli.heatmap.sentence import parts, probability
from capcli.output.html import data_uri, document, jpeg

if TYPE_CHECKING:
    from capcli.caption import Caption, Word

PAGE_BYTES = 400_000
"""What a page is kept below, as long as its weights take less than half of it."""

# Longer side in pixels and JPEG quality, the first that fits.
_PICTURES = ((1024, 88), (1024, 75), (1024, 60), (768, 55), (512, 50))

# Of the drawn heatmap; a browser stretches it over the picture, and it is too smooth for that to be seen.
_DRAWN_SIDE = 512

_THUMBNAIL_SIDE = 192

_ROWS = ("upper", "middle", "lower")
_COLUMNS = ("left", "centre", "right")

_FINDER = """<div id="finder" class="finder" role="search" hidden>
<div><label for="search">Search</label><input type="search" id="search" autocomplete="off"></div>
<div><label for="order">Order</label><select id="order" autocomplete="off"><option value="given">as given</option>
<option value="surest">most confident first</option><option value="unsure">least confident first</option></select></div>
<span id="found" class="quiet" role="status"></span></div>"""


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
    heads = _common_heads(caption.words)
    width, height = picture.size
    scale = _DRAWN_SIDE / max(width, height)
    drawn = [max(1, round(side * scale)) for side in picture.size]
    rows, columns = np.asarray(caption.words[0].attention).shape if caption.words else (1, 1)
    data = {
        "rows": rows,
        "columns": columns,
        "box": list(caption.words[0].box) if caption.words else [0, 0, 1, 1],
        "words": [[word.text, probability(word), _strongest(word)] for word in caption.words],
        "maps": base64.b64encode(b"".join(_maps(word, heads) for word in caption.words)).decode(),
        "inks": base64.b64encode(_inks()).decode(),
    }
    shape = "panorama" if width > 2.2 * height else "narrow" if height > 1.2 * width else "plain"
    before = [
        f'<header>{_back(index)}<h1><bdi dir="auto">{escape(name)}</bdi></h1></header>',
        f'<main class="{shape}">',
        f'<div class="stage" style="--ratio: {width / height:.5f}">',
    ]
    after = [
        f'<canvas id="heat" width="{drawn[0]}" height="{drawn[1]}" aria-hidden="true"></canvas></div>',
        '<div class="panel">',
        f'<div id="sentence" class="sentence">{_sentence(caption)}</div>',
        _controls(caption, heads, method),
        "<noscript><p>Without JavaScript there are no heatmaps here; the table has the words.</p></noscript>",
        _table(caption),
        f'<p class="quiet">Model {escape(model)}, method {escape(method)}, confidence {caption.confidence:.2f}'
        f"{', uncertain' * caption.uncertain}.</p>",
        "</div></main>",
        f'<script type="application/json" id="data">{_json(data)}</script>',
    ]

    def made(uri: str) -> bytes:
        image = f'<img src="{uri}" width="{width}" height="{height}" alt="{escape(caption.text)}">'
        return document(
            f"{caption.text or '(empty)'} - {name}",
            "\n".join([*before, image, *after]),
            style=_source("page.css"),
            script=_source("page.js"),
            generator=MARK,
        )

    room = PAGE_BYTES - len(made(data_uri(b""))) - 4
    return made(data_uri(_fitting(picture, room * 3 // 4)))


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
    count = f"{len(shown):,} picture{'' if len(shown) == 1 else 's'}"
    if failed:
        count += f', <a href="#failed">{len(failed):,} failed</a>'
    body = [
        f'<header><h1>{escape(title)}</h1><p class="quiet">{count}</p></header>',
        "<main>",
        _FINDER if len(shown) > 1 else "",
        f'<ul class="cards" id="cards">{"".join(map(_card, shown))}</ul>',
    ]
    if failed:
        reasons = "".join(f"<li>{_named(entry.name)}: {escape(entry.error or '')}</li>" for entry in failed)
        body.append(f'<section id="failed"><h2>Failed</h2><ul>{reasons}</ul></section>')
    body.append("</main>")
    return document(title, "\n".join(body), style=_source("index.css"), script=_source("index.js"), generator=MARK)


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
    heads = {(0, 0) if word.heads is None else word.heads.shape[:2] for word in words}
    return heads.pop() if len(heads) == 1 else (0, 0)


def _maps(word: Word, heads: tuple[int, int]) -> bytes:
    """The word's attention, then its heads layer by layer: rows x columns bytes each, its largest weight being 255."""
    attention = np.asarray(word.attention, np.float64)
    each = word.heads.reshape(-1, *attention.shape) if word.heads is not None and all(heads) else np.empty(0)
    return b"".join(_bytes(weights) for weights in (attention, *each))


def _bytes(weights: np.ndarray) -> bytes:
    return np.rint(255 * (weights / max(weights.max(), np.finfo(np.float32).tiny))).astype(np.uint8).tobytes()


def _inks() -> bytes:
    """RGBA of each of 256 strengths over a picture at full opacity, by the formula of `overlay`."""
    return np.column_stack([colours(), alphas(1)]).tobytes()


def _gradient() -> str:
    return ", ".join(f"rgb({red} {green} {blue})" for red, green, blue in colours()[::15].tolist())


def _strongest(word: Word) -> str:
    """Where the heatmap is strongest, in words: "upper left"."""
    side = 3 * 16
    heat = word.heatmap((side, side))
    if heat.min() > 0.99:
        return "everywhere alike"
    row, column = (3 * place // side for place in divmod(int(heat.argmax()), side))
    place = (_ROWS[row], _COLUMNS[column])
    return "centre" if place == ("middle", "centre") else " ".join(place)


def _sentence(caption: Caption) -> str:
    """The sentence, in which a word and what follows it without a space stay together."""
    runs = [""]
    for text, place in parts(caption):
        if place is None:
            first, *others = re.split(r"\s+", text)
            runs[-1] += _between(first)
            runs += map(_between, others)
        else:
            runs[-1] += _word(caption.words[place], text)
    return " ".join(f'<span class="run">{run}</span>' for run in runs if run)


def _between(text: str) -> str:
    return text and f'<span class="between">{escape(text)}</span>'


def _word(word: Word, text: str) -> str:
    kind, share = ("word", math.exp(word.log_probability)) if word.known else ("word unknown", 0.0)
    return (
        f'<span class="{kind}">{escape(text or word.text)}'
        f'<small aria-hidden="true" style="--share: {share:.3f}">{escape(probability(word))}</small></span>'
    )


def _controls(caption: Caption, heads: tuple[int, int], method: str) -> str:
    unknown = (
        '<p class="quiet">The model does not know the words with the dashed line; '
        "their heatmaps are the decoder's attention.</p>"
        if not all(word.known for word in caption.words)
        else ""
    )
    return (
        '<div id="controls" hidden><p id="word" class="told" aria-live="polite"></p>'
        f'<div class="row"><button type="button" id="play">Play</button>{_chooser(heads, method)}'
        '<div class="field"><label for="opacity">Opacity</label>'
        f'<input type="range" id="opacity" min="0" max="100" value="{round(100 * OPACITY)}" autocomplete="off">'
        '<output id="percent" for="opacity"></output></div></div>'
        '<div class="scale" role="img" aria-label="Colour scale from weak to strong"><span>weak</span>'
        f'<i style="background-image: linear-gradient(to right, {_gradient()})"></i><span>strong</span></div>'
        '<p class="quiet">Each heatmap is scaled to its own strongest place.</p>'
        f"{unknown}"
        '<p class="quiet keys"><kbd>←</kbd> <kbd>→</kbd> previous and next word, '
        "<kbd>Home</kbd> <kbd>End</kbd> first and last</p></div>"
    )


def _chooser(heads: tuple[int, int], method: str) -> str:
    """Every choice has as its value the first and the last of a word's maps that it is the mean of."""
    layers, each = heads
    if not layers * each:
        return ""
    options = [
        f'<option value="0">as measured: {escape(method)}</option>',
        f'<option value="1-{layers * each}">mean of all heads</option>',
    ]
    for layer in range(layers):
        first = 1 + layer * each
        options.append(f'<optgroup label="Layer {layer + 1}">')
        options.append(f'<option value="{first}-{first + each - 1}">layer {layer + 1}, mean</option>')
        for head in range(each):
            options.append(f'<option value="{first + head}">layer {layer + 1}, head {head + 1}</option>')
        options.append("</optgroup>")
    return (
        '<div class="field"><label for="heads">Show</label>'
        f'<select id="heads" autocomplete="off">{"".join(options)}</select></div>'
    )


def _table(caption: Caption) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(word.text)}</th><td class="number">{escape(probability(word))}</td>'
        f"<td>{_strongest(word)}</td></tr>"
        for word in caption.words
    )
    head = "".join(f'<th scope="col">{column}</th>' for column in ("word", "probability", "strongest at"))
    return (
        "<details><summary>Words as a table</summary>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></details>"
    )


def _card(entry: Entry) -> str:
    sure = "" if entry.confidence is None else f"confidence {entry.confidence:.2f}"
    order = "" if entry.confidence is None else f' data-confidence="{entry.confidence:.6f}"'
    image = '<div class="none">no picture here</div>'
    if entry.thumbnail:
        width, height = Image.open(io.BytesIO(entry.thumbnail)).size
        # Beside the caption the picture says nothing new.
        image = (
            f'<img src="{data_uri(entry.thumbnail, "image/webp")}" width="{width}" height="{height}" alt="" '
            'loading="lazy" decoding="async">'
        )
    told = f"<strong>{escape(entry.caption or '(empty)')}</strong>"
    linked = f'<a href="{_url(entry.link)}">{image}{told}</a>' if entry.link else image + told
    return f'<li{order}>{linked}<p class="quiet">{_named(entry.name)}</p><p class="quiet">{sure}</p></li>'


def _named(name: str) -> str:
    # Apart from the text around it, whose order a name in Arabic or Hebrew would change.
    return f'<bdi dir="auto">{escape(name)}</bdi>'


def _back(index: str | None) -> str:
    return f'<nav><a href="{_url(index)}">All pictures</a></nav>' if index else ""


def _url(path: str) -> str:
    return quote(os.fsencode(path.replace(os.sep, "/")))


def _json(data: object) -> str:
    """JSON that does not end the element it stands in."""
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def _source(name: str) -> str:
    return files("capcli.heatmap").joinpath(name).read_text(encoding="utf-8")
