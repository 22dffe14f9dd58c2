"""A search of a library: the query made ready by the model that captioned it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from capcli.errors import UsageError
from capcli.known import know_model
from capcli.library.contents import find_models
from capcli.library.options import SearchOptions
from capcli.library.search import LARGE, Found, Query, find_unknown, search, split_query
from capcli.model.options import ModelOptions
from capcli.modelfile.sentences import read_sentence_encoder
from capcli.runs.session import Load, load_captioner

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from capcli.arrays import Float32Array


class Sentences(Protocol):
    """What compares sentences with pictures."""

    def sentence_vectors(self, sentences: Sequence[str]) -> Float32Array:
        """Unit vectors, float32 N x E, of N sentences."""
        ...

    def find_unknown(self, words: Iterable[str]) -> list[str]:
        """Those of some words that it does not know."""
        ...


def find_in_library(
    library: Path,
    text: str | None,
    options: SearchOptions,
    model: ModelOptions,
    *,
    load: Load | None = None,
    large: int = LARGE,
) -> Found:
    """Searches a library for a text, for what looks like a picture, or for both.

    For a text alone neither torch nor the whole model is loaded, which would take longer than the search.

    Args:
        library: the file.
        text: the query; None for a picture's alone.
        options: what to find.
        model: the one that captioned the library, whose matcher compares the query with pictures.
        load: loads it, in the place of what capcli does itself.
        large: the number of pictures from which on an index of vectors is used, if there is one that may be.

    Raises:
        UsageError: if there is nothing to search for, no such library or model, or the query is a picture and no vector
            may be compared with it.
        UnreadableImage: if the picture cannot be read.
        CapcliError: if the library is locked or damaged.
    """
    if not (text and text.strip()) and options.like is None:
        raise UsageError("search for something: a sentence, or --like PICTURE")
    words, without = split_query(text or ""), split_query(options.not_ or "")
    nothing = [f"--not {options.not_!r} has no word, and leaves out nothing"] if options.not_ and not without else []
    about = know_model(model.model)
    models = find_models(library, about.identity.sha256)
    if not (models and about.matches):
        if options.like is not None:
            raise UsageError(f"--like needs pictures captioned by {model.model} and its matcher; {library} has none")
        why = f"{library} has no vectors by {model.model}; captions alone are searched, --model names another"
        notes = [why, *_tell_unknown(find_unknown(library, dict.fromkeys((*words, *without)))), *nothing]
        return _with_notes(search(library, Query(words, without_words=without), options), notes)
    picture_vector = None
    sentences: Sentences | None = None if load or options.like else read_sentence_encoder(model.model)
    if sentences is None:
        sentences = captioner = (load or load_captioner)(model)
        if options.like is not None:
            picture_vector = captioner.picture_vectors(captioner.prepare(options.like)[None])[0]
    # What neither captions nor the model know has no place in the vector either.
    unknown = find_unknown(library, sentences.find_unknown(dict.fromkeys((*words, *without))))
    vector = _middle(_sentence_vector(sentences, text, words), picture_vector)
    # Without a vector of the query no picture can fit something else better.
    unwanted = None if vector is None else _sentence_vector(sentences, options.not_, without)
    query = Query(words, vector, models, without, unwanted)
    return _with_notes(search(library, query, options, large), [*_tell_unknown(unknown), *nothing])


def _sentence_vector(sentences: Sentences, text: str | None, words: Sequence[str]) -> Float32Array | None:
    """The unit vector of a text with these words; None where the model knows none of them."""
    known = set(words) - set(sentences.find_unknown(words))
    return sentences.sentence_vectors([text])[0] if text and known else None


def _with_notes(found: Found, notes: list[str]) -> Found:
    return Found(found.hits, [*notes, *found.notes])


def _tell_unknown(words: list[str]) -> list[str]:
    return [f"no caption has the word {word!r}, and the model does not know it" for word in words]


def _middle(*vectors: Float32Array | None) -> Float32Array | None:
    """The unit vector in the middle between those that there are; None for none."""
    import numpy as np

    there = [vector for vector in vectors if vector is not None]
    if not there:
        return None
    middle = np.sum(there, axis=0)
    unit: Float32Array = middle / np.linalg.norm(middle)
    return unit
