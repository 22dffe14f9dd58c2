"""Pictures found by what is in them: scores of the matcher and of words, fused by rank.

The matcher compares a query with the pixels, BM25 compares it with the captions. Their scores are of different kinds,
so their ranks are fused (reciprocal rank fusion: Cormack, Clarke, Buettcher 2009, section 2, with its k = 60), with a
weight for the captions.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from capcli.library.database import last_picture, reading
from capcli.library.options import FLOOR, SearchOptions
from capcli.library.vector_index import INSTALL, NotInstalled, Unfit, VectorIndex, index_path, open_index
from capcli.library.vectors import compare_vectors

if TYPE_CHECKING:
    from capcli.arrays import BoolArray, Float32Array, IntArray

K = 60
"""How little the first ranks count for more than those that follow."""

WORDS = 0.15
"""How much a rank among captions counts beside the same rank among pictures: the matcher is the better judge by far.

Of 0 to 1 it puts most references' own pictures among the first ten, on held-out pictures of COCO:
`python benchmarks/search_precision.py --data coco_more.jsonl --split dev --words X`.
"""

DEPTH = 1000
"""Ranks of each list that are fused."""

LARGE = 1_000_000
"""Pictures from which on a search uses an index: fewer vectors are all compared in less than half a second."""

_MOST = 8 * DEPTH
"""Pictures that an index is asked for at most, where conditions leave few of them: more would take longer than all."""

_UNFIT = "an index does not fit the pictures"

_FUNCTION_WORDS = frozenset(
    (
        *("a", "an", "and", "are", "as", "at", "be", "by", "for", "from", "has", "have", "he", "her", "his", "in"),
        *("into", "is", "it", "its", "of", "on", "or", "she", "that", "the", "their", "them", "there", "they", "this"),
        *("to", "was", "were", "while", "who", "with"),
    )
)
"""Words that nearly every caption has, and that say nothing about a picture."""


@dataclass(frozen=True)
class Query:
    """What is looked for.

    Attributes:
        words: of the query, those without function words.
        vector: the unit vector of the query or of a picture, float32 E; None without a matcher.
        models: numbers of the models whose vectors it may be compared with.
        without_words: words that are not to be found.
        without: the vector of what is not to be found.
    """

    words: tuple[str, ...] = ()
    vector: Float32Array | None = field(default=None, repr=False)
    models: tuple[int, ...] = ()
    without_words: tuple[str, ...] = ()
    without: Float32Array | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Hit:
    """A picture that was found.

    Attributes:
        path: of the file.
        caption: its best one, None where there is none.
        score: cosine similarity of the query's and the picture's vectors, -1 to 1; None where one is lacking.
        words: BM25 of the query and the caption, larger is better; None where they share no word.
        fused: 1 / (K + rank) by the matcher, and `WORDS` as much by the captions.
    """

    path: Path
    caption: str | None
    score: float | None
    words: float | None
    fused: float

    def to_json(self) -> dict[str, object]:
        """All of it as plain values."""
        scores = {"score": self.score, "words": self.words, "fused": self.fused}
        rounded = {name: None if value is None else round(value, 6) for name, value in scores.items()}
        return {"path": str(self.path), "caption": self.caption, **rounded}


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        hits: the pictures, the best first.
        notes: remarks for the user, a line each.
    """

    hits: list[Hit]
    notes: list[str]


def split_query(text: str) -> tuple[str, ...]:
    """The words of a query that say something, each once; all words where only function words are left."""
    words = dict.fromkeys(re.findall(r"\w+", text.lower()))
    return tuple(word for word in words if word not in _FUNCTION_WORDS) or tuple(words)


def find_unknown(path: Path, words: Iterable[str]) -> list[str]:
    """Those of the words that no caption of a library has in any of their forms; raises what `search` does."""
    with reading(path) as connection:
        return [word for word in words if not _any_caption(connection, word)]


def search(path: Path, query: Query, options: SearchOptions, large: int = LARGE) -> Found:
    """The pictures of a library that fit a query best; those whose file is missing are left out.

    Args:
        path: of the library.
        query: what is looked for.
        options: which pictures.
        large: the number of pictures from which on an index of vectors is used, if there is one that may be.

    Raises:
        UsageError: if there is no library at the path, or it is of another program or version.
        CapcliError: if it is locked or damaged.
    """
    with ThreadPoolExecutor(1) as other, reading(path, mapped=True) as connection:
        # The captions are ranked meanwhile: SQLite and torch both let go of the interpreter.
        by_words = other.submit(_rank_captions, path, query.words, options)
        notes: list[str] = []
        scored = None
        if query.vector is not None and query.models and not options.exact and last_picture(connection) >= large:
            try:
                index = open_index(path, connection, _model_of(connection, query))
                scored = _score_some(connection, index, query, options, by_words)
            except Unfit as error:
                notes = [_advise(path, error, large)]
        scores, allowed = scored or _score_all(connection, query, options)
        hits = _fuse(connection, query, options, np.where(allowed, scores, 0), by_words.result(), allowed)
        if not hits and options.folder is not None and not _any_within(connection, options):
            there = "" if options.folder.is_dir() else ", and there is no such folder"
            notes.append(f"{path} has no picture in {options.folder}{there}")
        return Found(hits, notes)


def _any_within(connection: sqlite3.Connection, options: SearchOptions) -> bool:
    where, values = SearchOptions(folder=options.folder).filters
    return connection.execute(f"SELECT 1 FROM picture WHERE {where} LIMIT 1", values).fetchone() is not None


def _model_of(connection: sqlite3.Connection, query: Query) -> str:
    (sha256,) = connection.execute("SELECT sha256 FROM model WHERE id = ?", query.models[:1]).fetchone()
    return str(sha256)


def _advise(path: Path, why: Unfit, large: int) -> str:
    """How searches of a large library become faster."""
    make = f"`capcli library index {path}`"
    if isinstance(why, NotInstalled):
        return f"{path} has {large:,} pictures or more; {INSTALL} and {make} make searches of it faster"
    if not index_path(path).exists():
        return f"{path} has {large:,} pictures or more; {make} makes searches of it faster"
    return f"every vector is compared, as {index_path(path)} {why}; {make} makes it anew"


def _score_some(
    connection: sqlite3.Connection,
    index: VectorIndex,
    query: Query,
    options: SearchOptions,
    by_words: Future[dict[int, float]],
) -> tuple[Float32Array, BoolArray] | None:
    """Scores of the pictures that may be among the best, and which may be found; None where they may be too few."""
    assert query.vector is not None
    allowed = _allow(connection, query, options)
    held = index.scales[: len(allowed)] > 0
    possible = int((held & allowed[: len(held)]).sum())
    enough = min(DEPTH, possible)
    # Twice, as the pictures that fit the query may fit the conditions less often than others do.
    wanted = enough if possible == len(index) else min(2 * enough * len(index) // max(possible, 1), len(index))
    if not enough or wanted > _MOST:
        return None
    near = index.nearest(query.vector, wanted)
    pictures = np.union1d(near, np.fromiter(by_words.result(), np.intp))
    scores = np.zeros(len(allowed), np.float32)
    scores[pictures] = index.compare(pictures, query.vector)
    if query.without is not None:
        without = np.zeros(len(allowed), np.float32)
        without[pictures] = index.compare(pictures, query.without)
        allowed &= _closer(scores, without)
    whole = len(near) == len(index)
    return (scores, allowed) if whole or int(allowed[near].sum()) >= enough else None


def _score_all(connection: sqlite3.Connection, query: Query, options: SearchOptions) -> tuple[Float32Array, BoolArray]:
    """Scores of all pictures, 0 where there is none, and which may be found, both by the ids of pictures."""
    scores = _score(connection, query.models, query.vector)
    allowed = _allow(connection, query, options)
    if query.without is not None:
        allowed &= _closer(scores, _score(connection, query.models, query.without))
    return scores, allowed


def _closer(scores: Float32Array, without: Float32Array) -> BoolArray:
    """Which pictures are more like what is looked for than like what is not."""
    closer: BoolArray = (without < scores) | (without == 0)
    return closer


def _score(connection: sqlite3.Connection, models: Sequence[int], vector: Float32Array | None) -> Float32Array:
    """Scores by the ids of pictures, 0 where there is none."""
    nothing = np.zeros(last_picture(connection) + 1, np.float32)
    if vector is None:
        return nothing
    scores: Float32Array = np.sum([nothing, *(compare_vectors(connection, model, vector) for model in models)], axis=0)
    return scores


def _allow(connection: sqlite3.Connection, query: Query, options: SearchOptions) -> BoolArray:
    """Which pictures fit the conditions that are not of vectors, by their ids."""
    allowed = np.ones(last_picture(connection) + 1, bool)
    where, values = options.filters
    if where:
        allowed[:] = False
        allowed[_ids(connection.execute(f"SELECT id FROM picture WHERE {where}", values))] = True
    allowed[_ids(connection.execute("SELECT id FROM picture WHERE missing"))] = False
    if query.without_words:
        every = " AND ".join(map(_quoted, query.without_words))
        allowed[_ids(connection.execute("SELECT rowid FROM words_of WHERE words_of MATCH ?", (every,)))] = False
    return allowed


def _rank_captions(path: Path, words: Sequence[str], options: SearchOptions) -> dict[int, float]:
    """BM25 of the captions that have any of the words, the best first, by the ids of pictures."""
    if not words:
        return {}
    where, values = options.filters
    allowed = f"AND rowid IN (SELECT id FROM picture WHERE {where})" if where else ""
    with reading(path, mapped=True) as connection:
        rows = connection.execute(
            f"SELECT rowid, -rank FROM words_of WHERE words_of MATCH ? {allowed} ORDER BY rank LIMIT {DEPTH}",
            (" OR ".join(map(_quoted, words)), *values),
        )
        return dict(rows.fetchall())


def _fuse(
    connection: sqlite3.Connection,
    query: Query,
    options: SearchOptions,
    scores: Float32Array,
    words: dict[int, float],
    allowed: BoolArray,
) -> list[Hit]:
    if any(picture >= len(allowed) for picture in words):
        raise sqlite3.DatabaseError(_UNFIT)
    fused: dict[int, float] = {}
    for ranked, weight in ((_best(scores), 1.0), (words, WORDS)):
        for rank, picture in enumerate((picture for picture in ranked if allowed[picture]), 1):
            fused[picture] = fused.get(picture, 0.0) + weight / (K + rank)
    least = options.min_score
    if least is None:
        least = FLOOR if query.words else -1.0
    found = set(fused)
    if query.vector is not None:
        found = {picture for picture in fused if scores[picture] and scores[picture] >= least}
        found |= _complete(connection, query.words, set(fused) - found)
    hits = []
    for picture in sorted(found, key=lambda picture: (-fused[picture], picture))[: options.top]:
        row = connection.execute("SELECT path, caption FROM picture WHERE id = ?", (picture,)).fetchone()
        if row is None:
            raise sqlite3.DatabaseError(_UNFIT)
        path, caption = row
        hits.append(Hit(Path(path), caption, float(scores[picture]) or None, words.get(picture), fused[picture]))
    return hits


def _best(scores: Float32Array) -> list[int]:
    """The ids of the best `DEPTH` scores, the best first."""
    some = np.argpartition(-scores, DEPTH)[:DEPTH] if len(scores) > DEPTH else np.arange(len(scores))
    return [int(picture) for picture in some[np.argsort(-scores[some], kind="stable")] if scores[picture]]


def _complete(connection: sqlite3.Connection, words: Sequence[str], pictures: Collection[int]) -> set[int]:
    """Those of the pictures whose captions have all of some words."""
    if not (words and pictures):
        return set()
    # The plus keeps SQLite from searching the index once for each picture.
    query = "SELECT rowid FROM words_of WHERE words_of MATCH ? AND +rowid IN (SELECT value FROM json_each(?))"
    rows = connection.execute(query, (" AND ".join(map(_quoted, words)), json.dumps(sorted(pictures))))
    return {picture for (picture,) in rows}


def _ids(rows: Iterable[tuple[int]]) -> IntArray:
    return np.fromiter((picture for (picture,) in rows), np.intp)


def _any_caption(connection: sqlite3.Connection, word: str) -> bool:
    query = "SELECT 1 FROM words_of WHERE words_of MATCH ? LIMIT 1"
    return connection.execute(query, (_quoted(word),)).fetchone() is not None


def _quoted(word: str) -> str:
    return '"' + word.replace('"', '""') + '"'
