"""The weights themselves, for other programs to draw or to compute with.

Both formats hold the same, under the same names; T is the number of words.

| name | npz | JSON |
|---|---|---|
| `generator` | bytes, `capcli attend` | string |
| `caption` | string | string |
| `confidence` | float64, 0 to 1 | number |
| `uncertain` | bool: whether that is below `--min-confidence` | boolean |
| `keywords` | strings, the likeliest first, where they were asked for | array of objects with `word`, `probability` |
| `path` | string, the picture's as found | string |
| `model`, `method` | strings: the model's name; what made the maps | strings |
| `size` | int64 2: width and height of the upright picture in pixels | array |
| `grid` | int64 2: rows and columns | array |
| `box` | float64 4: left, top, right, bottom of the grid in pixels of the upright picture | array |
| `words` | strings T | array of objects, each with `word` and the five below |
| `log_probabilities` | float32 T, natural; minus infinity where unknown | `log_probability`, null where unknown |
| `known` | bool T: whether the model has the word | `known` |
| `attention` | float32 T x rows x columns, each word's sum 1 | `attention`, rows of columns |
| `sentinel` | float32 T, 0 to 1: how much of a word came from memory and not from the picture | `sentinel`, number |
| `heads` | float32 T x layers x heads x rows x columns, each sum 1 | `heads`, layers of heads of rows of columns |

`heads` and `sentinel` are absent where the model has none. To draw a map, spread its rows and columns evenly over `box`
with its first row at the top: row i of R covers the pixels from top + i (bottom - top) / R to
top + (i + 1) (bottom - top) / R, and columns likewise. `box` may begin and end outside the picture, as the regions that
a model looks at need not divide it evenly. "Upright" is as EXIF's orientation says to show the picture. How capcli
itself makes a smooth map of it, `capcli.attribution.smooth_map` says.

npz loads with `numpy.load(path)`, without pickle, and is exact; JSON has the weights to 7 decimal places.
"""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from capcli.arrays import Float32Array
from capcli.files.json import dumps
from capcli.heatmap.mark import MARK

if TYPE_CHECKING:
    from capcli.caption import Caption

_DECIMALS = 7


def npz(caption: Caption, *, path: str, size: tuple[int, int], method: str, model: str) -> bytes:
    """A caption's weights as NumPy's archive; the same for the same caption, byte for byte.

    Args:
        caption: words with attention.
        path: of the picture.
        size: its width and height in pixels, upright.
        method: that made the maps.
        model: its name.
    """
    content: dict[str, Any] = {**_common(caption, path, size, method, model)}
    words = caption.words
    # As bytes, because in NumPy's own strings a character takes four, and nobody would find it.
    content["generator"] = np.bytes_(MARK)
    if caption.keywords is not None:
        content["keywords"] = np.array([keyword.word for keyword in caption.keywords], np.str_)
    content["words"] = np.array([word.text for word in words], np.str_)
    content["log_probabilities"] = np.array([word.log_probability for word in words], np.float32)
    content["known"] = np.array([word.known for word in words], bool)
    if words and all(word.sentinel is not None for word in words):
        content["sentinel"] = np.array([word.sentinel for word in words], np.float32)
    maps = _maps(caption)
    content["attention"] = np.stack(maps["attention"]) if words else np.zeros((0, 0, 0), np.float32)
    if "heads" in maps:
        content["heads"] = np.stack(maps["heads"])
    file = io.BytesIO()
    np.savez(file, **content)
    return file.getvalue()


def json(caption: Caption, *, path: str, size: tuple[int, int], method: str, model: str) -> bytes:
    """A caption's weights as JSON in UTF-8; takes what `npz` does."""
    content = _common(caption, path, size, method, model)
    return dumps({**content, **_tell_words(caption)}) + b"\n"


def tell_weights(caption: Caption, *, size: tuple[int, int], heads: bool = True) -> dict[str, object]:
    """What `json` writes of the caption alone, as plain values.

    Args:
        caption: words with attention.
        size: the picture's width and height in pixels, upright.
        heads: whether the weights of each head are given, too.
    """
    return {**_said(caption), **_place(caption, size), **_tell_words(caption, heads=heads)}


def _tell_words(caption: Caption, *, heads: bool = True) -> dict[str, object]:
    """The keywords, where there are any, and the words with their weights."""
    words: list[dict[str, object]] = [
        {
            "word": word.text,
            "log_probability": round(word.log_probability, 6) if math.isfinite(word.log_probability) else None,
            "known": word.known,
            **({} if word.sentinel is None else {"sentinel": round(word.sentinel, _DECIMALS)}),
        }
        for word in caption.words
    ]
    for name, maps in _maps(caption).items():
        if name == "heads" and not heads:
            continue
        for word, weights in zip(words, maps, strict=True):
            word[name] = np.round(weights.astype(np.float64), _DECIMALS).tolist()
    extra: dict[str, object] = {}
    if caption.keywords is not None:
        extra["keywords"] = [keyword.to_json() for keyword in caption.keywords]
    return {**extra, "words": words}


def _common(caption: Caption, path: str, size: tuple[int, int], method: str, model: str) -> dict[str, object]:
    made = {"path": path, "model": model, "method": method}
    return {"generator": MARK, **_said(caption), **made, **_place(caption, size)}


def _said(caption: Caption) -> dict[str, object]:
    return {"caption": caption.text, "confidence": caption.confidence, "uncertain": caption.uncertain}


def _place(caption: Caption, size: tuple[int, int]) -> dict[str, object]:
    """Where the maps lie in the picture."""
    attention = caption.words[0].attention if caption.words else None
    box = caption.words[0].box if caption.words else (0.0, 0.0, 1.0, 1.0)
    return {
        "size": list(size),
        "grid": [0, 0] if attention is None else list(attention.shape),
        "box": [share * size[side % 2] for side, share in enumerate(box)],
    }


def _maps(caption: Caption) -> dict[str, list[Float32Array]]:
    """By name, float32 arrays of every word."""
    maps = {
        "attention": [word.attention for word in caption.words],
        "heads": [word.heads for word in caption.words],
    }
    return {
        name: [np.asarray(weights, np.float32) for weights in every if weights is not None]
        for name, every in maps.items()
        if every and all(weights is not None for weights in every)
    }
