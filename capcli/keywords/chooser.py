"""From the probabilities of words to the keywords of a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from capcli.arrays import Float32Array
from capcli.errors import UsageError, system_reason
from capcli.files.hashing import file_hash
from capcli.keywords.head import KeywordHead
from capcli.keywords.keyword import Keyword
from capcli.keywords.options import KeywordOptions
from capcli.keywords.tree import Entry, Tree, read_tree
from capcli.words.singular import known_form

_SHOWN = 8
"""Unknown words that a note names."""


class KeywordChooser:
    """Chooses keywords from the mean of a picture's regions.

    Args:
        head: of the model.
        count: how many keywords a picture gets at most.
        tree: the only words that may be chosen; None for all that the head knows.

    Attributes:
        notes: what is wrong with the vocabulary, a line each.

    Raises:
        UsageError: if the head knows no word of the tree.
    """

    def __init__(self, head: KeywordHead, count: int, tree: Tree | None = None) -> None:
        self._head, self._count = head, count
        place = {word: number for number, word in enumerate(head.words)}
        known = place | {synonym: place[word] for synonym, word in head.synonyms.items() if word in place}
        if tree is None:
            self._entries = [Entry(word, (word,), (), (), 0, True) for word in head.words]
            self._columns = [[number] for number in range(len(head.words))]
            self.notes: tuple[str, ...] = ()
            return
        found = [(entry, _columns(entry, known)) for entry in tree.entries]
        unknown = [entry.name for entry, columns in found if not columns]
        doubled = _find_doubled(found, known)
        found = [(entry, columns) for entry, columns in found if entry not in doubled]
        self._entries = [entry for entry, columns in found if columns]
        self._columns = [columns for _, columns in found if columns]
        self.notes = (
            *tree.notes,
            *(tree.note(entry, fault) for entry, fault in doubled.items()),
            *([_tell_unknown(unknown, len(tree.entries))] if unknown else []),
        )
        if not self._entries:
            raise UsageError(f"{head.name} knows no word of the vocabulary; `synonyms` after = may name words it knows")

    def choose(self, pooled: Float32Array) -> list[tuple[Keyword, ...]]:
        """The keywords of each of B pictures, the likeliest first, from float32 B x D means of regions."""
        of_words = self._head.probabilities(pooled)
        probabilities = np.stack([of_words[:, columns].max(1) for columns in self._columns], 1)
        return [self._best(row) for row in probabilities]

    def _best(self, probabilities: Float32Array) -> tuple[Keyword, ...]:
        order = np.argsort(-probabilities, kind="stable")[: self._count]
        return tuple(
            Keyword(entry.name, float(probabilities[place]), entry.path, entry.parents)
            for place in order
            if probabilities[place] >= self._head.floor
            for entry in (self._entries[place],)
        )


def read_chooser(model: str | Path, options: KeywordOptions) -> KeywordChooser | None:
    """The chooser that the options ask for; None where they ask for no keywords.

    Raises:
        ModelError: if there is no such model, or the file of its keywords cannot be used.
        UsageError: if the model has no keywords, the vocabulary cannot be read, or has no word that the model knows.
    """
    if not options.keywords:
        return None
    tree = None if options.vocabulary is None else read_tree(options.vocabulary)
    return KeywordChooser(KeywordHead.of_model(model), options.keywords, tree)


def keyword_origin(options: KeywordOptions) -> Mapping[str, object]:
    """What of the options changes results, for the record of what made them; empty without keywords.

    Raises:
        UsageError: if the vocabulary cannot be read.
    """
    if not options.keywords:
        return {}
    if options.vocabulary is None:
        return {"keywords": options.keywords}
    try:
        named = f"{options.vocabulary.name} (SHA-256 {file_hash(options.vocabulary)[:12]})"
    except OSError as error:
        raise UsageError(f"{options.vocabulary}: {system_reason(error)}") from None
    return {"keywords": options.keywords, "vocabulary": named}


def _columns(entry: Entry, known: Mapping[str, int]) -> list[int]:
    """The head's words that a word of the user's stands for."""
    return list(dict.fromkeys(known[form] for form in _forms(entry, known)))


def _forms(entry: Entry, known: Mapping[str, int]) -> dict[str, str]:
    """A word of the user's and its synonyms by how they are known."""
    words = (entry.name, *entry.synonyms)
    forms = {word: known_form(word.lower(), known) for word in reversed(words)}
    return {form: word for word, form in forms.items() if form is not None}


def _find_doubled(found: Sequence[tuple[Entry, list[int]]], known: Mapping[str, int]) -> dict[Entry, str]:
    """The words of the user's that are other spellings of one above, with what is to be said of them.

    As with equal spellings, it does not matter where in the tree they are. Words that the head takes for synonyms are
    the same only where they are beside each other: elsewhere each of them leads to a path of its own.
    """
    first: dict[object, tuple[str, int]] = {}
    doubled: dict[Entry, str] = {}
    for entry, columns in found:
        if not columns:
            continue
        beside = (entry.path[:-1], frozenset(columns))
        keys: list[tuple[object, str]] = [*_forms(entry, known).items(), (beside, entry.name)]
        twice = next(((word, *first[key]) for key, word in keys if key in first), None)
        if twice is None:
            first.update((key, (word, entry.line)) for key, word in keys)
        else:
            word, other, line = twice
            doubled[entry] = f"{word!r} is in line {line} already, as {other!r}"
    return doubled


def _tell_unknown(unknown: Sequence[str], count: int) -> str:
    named = ", ".join(map(repr, unknown[:_SHOWN])) + (" and others" if len(unknown) > _SHOWN else "")
    words = "word" if count == 1 else "words"
    return f"the model does not know {len(unknown):,} of {count:,} {words} of the vocabulary, and never gives: {named}"
