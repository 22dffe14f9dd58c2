"""Pictures of all requests, given to the model together as they come."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from capcli.arrays import UInt8Array

Question = TypeVar("Question", bound=Hashable)
Answer = TypeVar("Answer")

_MEMORY = 0.8
"""How much of the pace that was known counts beside that of the last batch."""

_LINGER, _GRACE = 0.2, 0.05
"""Shares of the time of the last batch: how long the next one waits for more requests, and how long for one more."""

_LONGEST, _TICK = 0.25, 0.002
"""Seconds: the most that a batch waits, be it for pictures that are being read, and after which it looks again."""


@dataclass(frozen=True)
class _Waiting(Generic[Question, Answer]):
    array: UInt8Array
    question: Question
    answer: asyncio.Future[Answer]

    @property
    def kind(self) -> tuple[Question, tuple[int, ...]]:
        """What those have in common that are computed together."""
        return self.question, self.array.shape


class Batcher(Generic[Question, Answer]):
    """Asks a model about pictures, several at once, one batch after another.

    While the model computes a batch, pictures that come wait; as soon as it is free it gets those that wait. The one
    that has waited longest goes first, and takes along others with the same question and shape. Clients that got their
    answers together mostly come back together: so where there are several, the next batch lingers for a moment until as
    many pictures wait as there are clients, or it is full. One that was always alone never waits for others.

    Args:
        compute: the model's answers about B pictures to one question; is called in a thread, once at a time.
        most: pictures of a batch.
        done: hears of each batch: how many pictures it had, and the seconds that it took.
    """

    def __init__(
        self,
        compute: Callable[[Question, UInt8Array], Sequence[Answer]],
        most: int,
        done: Callable[[int, float], None] = lambda pictures, seconds: None,
    ) -> None:
        self._compute, self._most, self._done = compute, most, done
        self._waiting: deque[_Waiting[Question, Answer]] = deque()
        self._woken = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="capcli-model")
        self._task: asyncio.Task[None] | None = None
        self._pace = 0.0
        self._computing = self._coming = 0
        self._clients, self._seconds, self._arrived = 0, 0.0, 0.0

    @property
    def waiting(self) -> int:
        """Pictures that have no answer yet."""
        return len(self._waiting) + self._computing

    @property
    def delay(self) -> int:
        """Whole seconds after which those that wait now will have their answers, at least 1."""
        return max(1, math.ceil(self.waiting * self._pace))

    async def ask(self, array: UInt8Array, question: Question) -> Answer:
        """The model's answer about a picture, uint8 H x W x 3; where it is cancelled, the picture is not computed.

        Raises:
            Exception: whatever the model raised about its batch.
        """
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._arrived = time.monotonic()
        self._waiting.append(_Waiting(array, question, answer))
        self._woken.set()
        return await answer

    @contextmanager
    def expecting(self, pictures: int) -> Iterator[None]:
        """Says that so many pictures are about to come, for which a batch may linger."""
        self._coming, self._arrived = self._coming + pictures, time.monotonic()
        try:
            yield
        finally:
            self._coming -= pictures

    async def __aenter__(self) -> Batcher[Question, Answer]:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._task is not None, "it was entered"
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        for picture in self._waiting:
            picture.answer.cancel()
        await asyncio.to_thread(self._thread.shutdown)

    async def _run(self) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            await self._linger()
            while batch := self._take():
                self._computing = len(batch)
                await self._answer(batch)
                self._computing = 0
                await self._linger()

    async def _linger(self) -> None:
        """Waits until a batch has all pictures that may be expected, or no more come."""
        if self._clients < 2:
            return
        begun = time.monotonic()
        while len(self._waiting) < min(self._clients, self._most):
            now, longest = time.monotonic(), _LONGEST
            # Pictures that are being read are here in a moment, and would make a small batch of their own.
            if not self._coming:
                longest = min(_LINGER * self._seconds, _LONGEST)
                if now > max(begun, self._arrived) + _GRACE * self._seconds:
                    return
            if now > begun + longest:
                return
            await asyncio.sleep(_TICK)

    def _take(self) -> list[_Waiting[Question, Answer]]:
        """The next batch, which waits no more; those whose clients left are dropped."""
        left = [picture for picture in self._waiting if not picture.answer.done()]
        batch = [picture for picture in left if picture.kind == left[0].kind][: self._most]
        taken = set(map(id, batch))
        self._waiting = deque(picture for picture in left if id(picture) not in taken)
        return batch

    async def _answer(self, batch: Sequence[_Waiting[Question, Answer]]) -> None:
        begun, loop = time.monotonic(), asyncio.get_running_loop()
        arrays = np.stack([picture.array for picture in batch])
        answers: Sequence[Any]
        try:
            answers = await loop.run_in_executor(self._thread, self._compute, batch[0].question, arrays)
        except Exception as error:  # whatever it is, it is those clients' answer, and the others go on
            for picture in batch:
                if not picture.answer.done():
                    picture.answer.set_exception(error)
            return
        for picture, answer in zip(batch, answers, strict=True):
            if not picture.answer.done():
                picture.answer.set_result(answer)
        seconds = time.monotonic() - begun
        # Those that have their answers now, and those that came meanwhile. One that is late once is still expected.
        present = len(batch) + len(self._waiting) + self._coming
        self._clients, self._seconds = max(present, self._clients - 1), seconds
        pace = seconds / len(batch)
        self._pace = _MEMORY * self._pace + (1 - _MEMORY) * pace if self._pace else pace
        self._done(len(batch), seconds)
