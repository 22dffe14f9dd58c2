"""One rater at work: questions, what is answered already, and each answer on the disk before it counts."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import chain
from pathlib import Path

from capcli.errors import UsageError
from capcli.ratings.judgement import EVEN, LEVELS, PREFERENCE, Judgement, Key
from capcli.ratings.questions import Question
from capcli.ratings.record import Record, note_alike, settle
from capcli.words.counting import count_of


class NotRated(Exception):  # noqa: N818 - it is the answer to a request as often as an error
    """An answer that is none to the question; the message is one clause."""


@dataclass(frozen=True)
class Asked:
    """A question, and what the rater said; nothing in it tells whose captions they are.

    Attributes:
        place: of the question, from 0.
        id: tells it from others.
        path: the file of the picture.
        captions: in the order in which they are shown.
        values: what the rater said, by scale; of a preference the place of the better caption, from 1, or EVEN.
    """

    place: int
    id: str
    path: Path
    captions: tuple[str, ...]
    values: dict[str, int]


class Session:
    """The questions of one rater, and the file that takes the answers.

    Other programs may add to the file meanwhile, even answers of the same rater: what was said last counts.

    Attributes:
        scales: what is judged.
        rater: who does.

    Args:
        questions: of this rater, in order.
        scales: what is judged.
        rater: who does.
        path: the file of ratings.

    Raises:
        UsageError: there is no question to answer, or the file may not be written.
        DatasetError: the file holds something else.
        CapcliError: another program does not let go of it.
    """

    def __init__(self, questions: Sequence[Question], scales: Sequence[str], rater: str, path: Path) -> None:
        self.scales, self.rater = tuple(scales), rater
        self._path, self._record = path, Record(path)
        self._shown: list[Question] = []
        # What needs no answer goes with a question beside it, so that it counts as far as the rater came.
        self._beside: defaultdict[int, list[Question]] = defaultdict(list)
        for question in questions:
            if PREFERENCE in scales and len(question.captions) == 1:
                self._beside[max(0, len(self._shown) - 1)].append(question)
            else:
                self._shown.append(question)
        if not self._shown:
            raise UsageError("there is nothing to compare: the systems say the same of every picture")
        self._places = {
            key: place for place, question in enumerate(self._shown) for key in _keys(question, rater, self.scales)
        }
        self._held: dict[Key, Judgement] = {}
        self._open = set(range(len(self._shown)))
        self._lock = threading.Lock()
        self._record.prepare()
        self._refresh()
        self._take_over()

    @property
    def count(self) -> int:
        """How many questions there are."""
        return len(self._shown)

    @property
    def notes(self) -> list[str]:
        """What the rater should know before the first answer, a line each."""
        notes = note_alike(self._path, {*(key[0] for key in self._held), self.rater})
        known = {
            key
            for question in chain(self._shown, *self._beside.values())
            for key in _keys(question, self.rater, self.scales)
        }
        mine = (key for key, held in self._held.items() if key[0] == self.rater and held.value is not None)
        gone = sum(key not in known for key in mine if key[2] in self.scales)
        if gone:
            how_many = count_of(gone, "rating", "is", "are")
            notes.append(
                f"{self._path}: {how_many} of captions or pictures that are not asked about now; they stay there"
            )
        return notes

    def count_open(self) -> int:
        """How many questions have no answer yet, by what the file holds now."""
        with self._lock:
            self._refresh()
            return len(self._open)

    def find_open(self, after: int) -> int | None:
        """The first place behind another that has no answer, or else the first of all; None where all have one."""
        with self._lock:
            self._refresh()
            # The next ones are open almost always, so that this ends at once.
            places = chain(range(after + 1, len(self._shown)), range(after + 1))
            return next((place for place in places if place in self._open), None) if self._open else None

    def ask(self, place: int) -> Asked:
        """The question at a place, from 0; raises NotRated where there is none."""
        if not 0 <= place < len(self._shown):
            raise NotRated("there is no such question")
        with self._lock:
            self._refresh()
        question, values = self._shown[place], {}
        for key in _keys(question, self.rater, self.scales):
            held = self._held.get(key)
            if held is not None and held.value is not None:
                better = held.preferred if held.scale == PREFERENCE else None
                values[held.scale] = held.value if better is None else question.captions.index(better) + 1
        return Asked(place, question.id, question.path, question.captions, values)

    def answer(self, place: int, values: Mapping[str, int]) -> Asked:
        """Stores what the rater says; it is on the disk when this returns.

        Args:
            place: of the question.
            values: for each scale what `Asked.values` holds.

        Raises:
            NotRated: there is no such question, or a value is missing or out of range.
            CapcliError: it could not be stored.
        """
        self.ask(place)
        known = (EVEN, 1, 2) if PREFERENCE in self.scales else LEVELS
        if set(values) != set(self.scales) or any(value not in known for value in values.values()):
            raise NotRated(f"needs {' and '.join(self.scales)}, from {known[0]} to {known[-1]}")
        self._store(place, values)
        return self.ask(place)

    def take_back(self, place: int) -> Asked:
        """Takes back what the rater said; raises NotRated where that is nothing, else as `answer`."""
        if not self.ask(place).values:
            raise NotRated("has no answer to take back")
        self._store(place, None)
        return self.ask(place)

    def _store(self, place: int, values: Mapping[str, int] | None) -> None:
        beside = None if values is None else {PREFERENCE: EVEN}
        judgements = self._judge(self._shown[place], values)
        judgements += [judgement for question in self._beside[place] for judgement in self._judge(question, beside)]
        with self._lock:
            self._record.add(judgements)

    def _judge(self, question: Question, values: Mapping[str, int] | None) -> list[Judgement]:
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        said = values or {}
        return [
            Judgement(self.rater, question.image, scale, question.captions, question.systems, said.get(scale), now)
            for scale in self.scales
        ]

    def _take_over(self) -> None:
        """Has earlier answers count for systems that say the same, and that were not asked about then."""
        for place in range(len(self._shown)):
            if place in self._open:
                continue
            for key in _keys(self._shown[place], self.rater, self.scales):
                held, question = self._held[key], self._shown[place]
                counted = dict(zip(held.captions, map(set, held.systems), strict=True))
                if any(
                    set(names) - counted[text] for text, names in zip(question.captions, question.systems, strict=True)
                ):
                    self._store(place, self.ask(place).values)
                    break

    def _refresh(self) -> None:
        """Takes in what was added to the file."""
        fresh = self._record.read_new()
        settle(self._held, fresh)
        for place in {self._places[judgement.key] for judgement in fresh if judgement.key in self._places}:
            held = (self._held.get(key) for key in _keys(self._shown[place], self.rater, self.scales))
            if all(judgement is not None and judgement.value is not None for judgement in held):
                self._open.discard(place)
            else:
                self._open.add(place)


def _keys(question: Question, rater: str, scales: Sequence[str]) -> list[Key]:
    """What the rater's judgements of a question are known by."""
    return [(rater, question.image, scale, frozenset(question.captions)) for scale in scales]
