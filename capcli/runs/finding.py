"""A search of a library: the query made ready by the model that captioned it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from capcli.errors import UsageError
from capcli.known import know_model
from capcli.library.contents import find_models
from capcli.library.options import SearchOptions
from capcli.library.search import Hit, Query, find_unknown, search, split_query
from capcli.model.options import ModelOptions
from capcli.runs.session import Load, load_captioner

if TYPE_CHECKING:
    from capcli.arrays import Float32Array
    from capcli.captioning import BaseCaptioner


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        hits: the pictures, the best first.
        notes: remarks for the user, a line each.
    """

    hits: list[Hit]
    notes: list[str]


def find_in_library(
    library: Path, text: str | None, options: SearchOptions, model: ModelOptions, *, load: Load = load_captioner
) -> Found:
    """Searches a library for a text, for what looks like a picture, or for both.

    Args:
        library: the file.
        text: the query; None for a picture's alone.
        options: what to find.
        model: the one that captioned the library, whose matcher compares the query with pictures.
        load: loads it.

    Raises:
        UsageError: if there is nothing to search for, no such library or model, or the query is a picture and no vector
            may be compared with it.
        UnreadableImage: if the picture cannot be read.
        CapcliError: if the library is locked or damaged.
    """
    if not (text and text.strip()) and options.like is None:
        raise UsageError("search for something: a sentence, or --like PICTURE")
    words, without = split_query(text or ""), split_query(options.not_ or "")
    known = know_model(model.model)
    models = find_models(library, known.identity.sha256)
    if not (models and known.matches):
        if options.like is not None:
            raise UsageError(f"--like needs pictures captioned by {model.model} and its matcher; {library} has none")
        why = f"{library} has no vectors by {model.model}; captions alone are searched, --model names another"
        notes = [why, *_tell_unknown(find_unknown(library, words))]
        return Found(search(library, Query(words, without_words=without), options), notes)
    captioner = load(model)
    # What neither captions nor the model know has no place in the vector either.
    unknown = find_unknown(library, captioner.find_unknown(words))
    vector = _vector(captioner, options.like, text if set(words) - set(captioner.find_unknown(words)) else None)
    unwanted = captioner.sentence_vectors([options.not_])[0] if options.not_ else None
    query = Query(words, vector, models, without, unwanted)
    return Found(search(library, query, options), _tell_unknown(unknown))


def _tell_unknown(words: list[str]) -> list[str]:
    return [f"no caption has the word {word!r}, and the model does not know it" for word in words]


def _vector(captioner: BaseCaptioner, like: Path | None, text: str | None) -> Float32Array | None:
    """The unit vector of a picture and a text, of the two in the middle between them; None for neither."""
    import numpy as np

    parts = [] if text is None else [captioner.sentence_vectors([text])[0]]
    if like is not None:
        parts.append(captioner.picture_vectors(captioner.prepare(like)[None])[0])
    if not parts:
        return None
    middle = np.sum(parts, axis=0)
    vector: Float32Array = middle / np.linalg.norm(middle)
    return vector
