"""Whether a model file is what it should be: its hash, its names and shapes, its values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from capcli.catalogue.facts import Facts
from capcli.errors import CapcliError, ModelError
from capcli.modelfile.target import WORDS


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what it is.
        passed: None where there was nothing to hold it against.
        finding: what was found, one clause without a final stop.
    """

    name: str
    passed: bool | None
    finding: str


def checks(facts: Facts) -> Iterator[Check]:
    """Checks a model file; whatever the file holds, nothing in it is executed.

    Yields:
        The hash against the card's; whether it can be loaded, which is to say whether config, vocabulary and decoding
        options can be used and names, types and shapes of the tensors are those that they ask for; and whether all
        weights are finite numbers; and whether the words beside it, if there are any, are of this model.
    """
    yield _hash(facts)
    # Brings torch.
    from capcli.modelfile.checkpoint import Checkpoint
    from capcli.modelfile.weights import NotFinite

    finite = True
    try:
        Checkpoint.load(facts.file)
    except NotFinite:
        finite = False
    except ModelError as error:
        yield Check("contents", False, str(error).removeprefix(f"{facts.file}: "))
        return
    yield Check("config", True, f"can be used, with its vocabulary of {facts.words:,} and its decoding options")
    count = len(facts.header.tensors)
    yield Check("tensors", True, f"{count:,}, of the names, types and shapes that the config asks for")
    yield Check(
        "values", finite, f"{facts.weights.parameters:,}, {'all' if finite else 'not all of them'} finite numbers"
    )
    if facts.file.with_suffix(WORDS).is_file():
        yield _words(facts)


def _words(facts: Facts) -> Check:
    """Whether the words beside the file are of this model, and can be used."""
    from capcli.modelfile.expected_words import ExpectedWords

    try:
        words = ExpectedWords.of_model(facts.file)
    except CapcliError as error:
        return Check("words", False, str(error))
    return Check("words", True, f"{len(words.words) if words else 0:,} expected ones, of this model")


def _hash(facts: Facts) -> Check:
    digest, card = f"SHA-256 {facts.sha256}", facts.card.file.name
    if facts.card.text is None:
        return Check("hash", None, f"{digest}; no card {card} is beside the file to compare it with")
    expected = facts.card.sha256
    if expected is None:
        return Check("hash", None, f"{digest}; the card {card} names none to compare it with")
    if expected == facts.sha256:
        return Check("hash", True, f"{digest}, as the card {card} says")
    return Check("hash", False, f"{digest}, but the card {card} says {expected}: the file was changed or damaged")
