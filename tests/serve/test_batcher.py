"""Pictures of several requests before one model."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capcli.arrays import UInt8Array
from capcli.serve.batcher import Batcher

ASKED = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([(2, 2), (3, 2)]), st.booleans()), max_size=12)


def picture(number: int, shape: tuple[int, int]) -> UInt8Array:
    return np.full((*shape, 3), number, np.uint8)


def computing(sizes: list[int]) -> Callable[[str, UInt8Array], Sequence[str]]:
    """A model that takes 0.2 s for a batch, and notes how many pictures it had."""

    def compute(question: str, arrays: UInt8Array) -> Sequence[str]:
        sizes.append(len(arrays))
        time.sleep(0.2)
        return [question] * len(arrays)

    return compute


@given(ASKED, st.integers(1, 5))
@settings(max_examples=40)
def test_each_gets_its_own_answer_and_whoever_left_is_not_computed(
    asked: list[tuple[str, tuple[int, int], bool]], most: int
) -> None:
    batches: list[tuple[str, list[int]]] = []

    def compute(question: str, arrays: UInt8Array) -> Sequence[str]:
        numbers = [int(array[0, 0, 0]) for array in arrays]
        batches.append((question, numbers))
        return [f"{question}{number}" for number in numbers]

    async def run() -> list[object]:
        batcher = Batcher(compute, most)
        tasks = [
            asyncio.ensure_future(batcher.ask(picture(number, shape), question))
            for number, (question, shape, _) in enumerate(asked)
        ]
        await asyncio.sleep(0)
        for task, (_, _, leaves) in zip(tasks, asked, strict=True):
            if leaves:
                task.cancel()
        await asyncio.sleep(0)
        async with batcher:
            answers = await asyncio.gather(*tasks, return_exceptions=True)
            assert batcher.waiting == 0
        return answers

    answers = asyncio.run(run())
    for number, ((question, _, leaves), answer) in enumerate(zip(asked, answers, strict=True)):
        assert isinstance(answer, asyncio.CancelledError) if leaves else answer == f"{question}{number}"
    computed = [number for _, numbers in batches for number in numbers]
    assert sorted(computed) == [number for number, (_, _, leaves) in enumerate(asked) if not leaves]
    for question, numbers in batches:
        assert len(numbers) <= most
        assert {asked[number][:2] for number in numbers} == {(question, asked[numbers[0]][1])}
    kinds = [asked[numbers[0]][:2] for _, numbers in batches]
    for kind in set(kinds):
        wanted = sum(request[:2] == kind and not request[2] for request in asked)
        assert kinds.count(kind) == -(-wanted // most)


def test_clients_that_come_one_after_another_are_computed_together_from_then_on() -> None:
    sizes: list[int] = []

    async def run() -> None:
        async with Batcher(computing(sizes), 32) as batcher:

            async def ask_again_and_again(times: int) -> None:
                for _ in range(times):
                    await batcher.ask(picture(0, (2, 2)), "a")

            first = asyncio.ensure_future(ask_again_and_again(4))
            await asyncio.sleep(0.05)
            await asyncio.gather(first, ask_again_and_again(3))

    asyncio.run(run())
    assert sizes == [1, 2, 2, 2]


@pytest.mark.parametrize(("reading", "sizes"), [(0.12, [2, 2]), (1.0, [2, 1, 1])])
def test_a_batch_waits_for_a_picture_that_is_being_read_but_not_for_long(reading: float, sizes: list[int]) -> None:
    computed: list[int] = []

    async def run() -> None:
        async with Batcher(computing(computed), 32) as batcher:

            async def ask(seconds: float) -> None:
                with batcher.expecting(1):
                    await asyncio.sleep(seconds)
                await batcher.ask(picture(0, (2, 2)), "a")

            await asyncio.gather(ask(0.0), ask(0.0))
            await asyncio.gather(ask(0.0), ask(reading))

    asyncio.run(run())
    assert computed == sizes


def test_an_error_is_the_answer_of_its_batch_alone() -> None:
    def compute(question: str, arrays: UInt8Array) -> Sequence[str]:
        if question == "bad":
            raise ValueError(question)
        return [question] * len(arrays)

    async def run() -> None:
        async with Batcher(compute, 4) as batcher:
            bad = [asyncio.ensure_future(batcher.ask(picture(0, (2, 2)), "bad")) for _ in range(2)]
            assert await batcher.ask(picture(0, (2, 2)), "good") == "good"
            for task in bad:
                with pytest.raises(ValueError, match="bad"):
                    await task
            assert await batcher.ask(picture(0, (2, 2)), "good") == "good"

    asyncio.run(run())


def test_the_delay_grows_with_what_waits() -> None:
    import time

    async def run() -> None:
        def compute(question: str, arrays: UInt8Array) -> Sequence[str]:
            time.sleep(0.3)
            return [question] * len(arrays)

        batcher = Batcher(compute, 1)
        assert batcher.delay == 1
        async with batcher:
            await batcher.ask(picture(0, (2, 2)), "first")
            waiting = [asyncio.ensure_future(batcher.ask(picture(0, (2, 2)), "x")) for _ in range(20)]
            await asyncio.sleep(0)
            assert batcher.delay >= 6
            for task in waiting:
                task.cancel()

    asyncio.run(run())
