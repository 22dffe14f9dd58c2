"""What one rater is asked, and in which order: blind, at random, and always the same for the same seed and name.

The order comes from hashes and not from a generator of random numbers, so that a picture more or less leaves the others
where they are, and a rater who comes back goes on in the same order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from capcli.ratings.judgement import PREFERENCE, SCALES
from capcli.ratings.options import ADEQUACY_FLUENCY


@dataclass(frozen=True)
class Candidates:
    """A picture and what each system said about it.

    Attributes:
        image: how rows and ratings name it.
        path: the file.
        captions: by the name of the system.
    """

    image: str
    path: Path
    captions: dict[str, str]


@dataclass(frozen=True)
class Question:
    """What a rater is asked at once.

    Attributes:
        image: how rows and ratings name the picture.
        path: its file.
        captions: in the order in which this rater sees them.
        systems: for each of them who said it.
    """

    image: str
    path: Path
    captions: tuple[str, ...]
    systems: tuple[tuple[str, ...], ...]

    @property
    def id(self) -> str:
        """Tells it from others, and nothing of who said what."""
        return f"{_chance(self.image, *sorted(self.captions)):032x}"


def scales_of(way: str) -> tuple[str, ...]:
    """What is judged in one of the ways of `capcli.ratings.options`."""
    return (PREFERENCE,) if way == PREFERENCE else tuple(scale for scale in SCALES if scale != PREFERENCE)


def ask(pictures: Sequence[Candidates], way: str, rater: str, seed: int, count: int = 0) -> list[Question]:
    """The questions of one rater in their order.

    A picture comes again only when all others have passed, so that one caption does not lead the judgement of another.
    Captions that several systems share are one.

    Args:
        pictures: each with a caption of every system.
        way: a preference between two captions, or adequacy and fluency of each.
        rater: whose order it is.
        seed: of order and draw.
        count: how many pictures are drawn, the same ones for every rater; 0 for all.

    Returns:
        With a single caption also those preferences that need no answer, as all systems concerned said the same.
    """
    drawn = sorted(pictures, key=lambda candidates: _chance("draw", str(seed), candidates.image))[: count or None]
    rounds: list[tuple[int, int, Question]] = []
    for picture in drawn:
        of_picture = _pairs(picture) if way != ADEQUACY_FLUENCY else _singles(picture)
        chances = [
            (_chance("question", str(seed), rater, question.image, *sorted(question.captions)), question)
            for question in of_picture
        ]
        asked = sorted(chances, key=lambda entry: entry[0])
        rounds += [(turn, chance, question) for turn, (chance, question) in enumerate(asked)]
    rounds.sort(key=lambda entry: entry[:2])
    return [_shuffled(question, rater, seed) for _, _, question in rounds]


def _singles(picture: Candidates) -> Iterator[Question]:
    for caption, systems in _shared(picture).items():
        yield Question(picture.image, picture.path, (caption,), (systems,))


def _pairs(picture: Candidates) -> Iterator[Question]:
    shared = _shared(picture)
    for first, second in combinations(shared, 2):
        yield Question(picture.image, picture.path, (first, second), (shared[first], shared[second]))
    for caption, systems in shared.items():
        if len(systems) > 1:
            yield Question(picture.image, picture.path, (caption,), (systems,))


def _shared(picture: Candidates) -> dict[str, tuple[str, ...]]:
    """Who said each of the different captions; neither depends on the order in which systems are named."""
    said: dict[str, list[str]] = {}
    for system, caption in sorted(picture.captions.items()):
        said.setdefault(caption, []).append(system)
    return {caption: tuple(systems) for caption, systems in said.items()}


def _shuffled(question: Question, rater: str, seed: int) -> Question:
    """The captions side by side in an order that tells nothing."""
    first = sorted(question.captions)[0]
    turned = _chance("side", str(seed), rater, question.image, *sorted(question.captions)) % 2
    if len(question.captions) < 2 or (question.captions[0] == first) != bool(turned):
        return question
    return Question(question.image, question.path, question.captions[::-1], question.systems[::-1])


def _chance(*parts: str) -> int:
    """A number as good as a random one, always the same for the same texts."""
    # Names may hold undecodable bytes, and JSON half a character.
    content = "\0".join(parts).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(content, digest_size=16).digest(), "big")
