"""Heatmaps for the review page, made by a process of their own, so that edits never wait for a model."""

from __future__ import annotations

import asyncio
import json
import os
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import nullcontext

from starlette.concurrency import run_in_threadpool

from capcli.errors import CapcliError
from capcli.known import know_model
from capcli.library.review import Looked
from capcli.model.options import ModelOptions
from capcli.pictures.process import Crash, ReadingProcess, TooSlow, worker_command
from capcli.pictures.worker import Kind
from capcli.web.looker import ask

PATIENCE = 120.0
"""Seconds that a heatmap may take, the first one with the model that has to be loaded."""

REMEMBERED = 64
"""Pictures whose heatmaps are kept in memory, about 0.3 MB each."""

_TICK = 0.2
"""Seconds after which it is seen that the server ends; it waits a second for its answers."""

Maps = list[dict[str, object]]


class NoHeatmap(Exception):  # noqa: N818 - it is an answer
    """There is none, and the message, one clause, says why."""


class Heatmaps:
    """Where a model looked for the words of captions.

    The process starts with the first wish, makes one picture's heatmaps at a time, and ends with this one, however
    that ends.

    Args:
        model: that wrote the captions.
        command: the program of the process, which speaks as `capcli.web.looker` does; that one by default.
    """

    def __init__(self, model: ModelOptions, command: Sequence[str] | None = None) -> None:
        self._model = model
        self._process = ReadingProcess(command or worker_command("capcli.web.looker"), PATIENCE, nullcontext())
        # Not one of the threads that read and write the library; and it is not waited for when the server ends.
        self._thread = ThreadPoolExecutor(1)
        self._turn = asyncio.Lock()
        self._ended = False
        self._made: OrderedDict[tuple[object, ...], Maps] = OrderedDict()

    def __enter__(self) -> Heatmaps:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.close()
        self._thread.shutdown()
        self._process.reap()

    @property
    def pid(self) -> int | None:
        """The id of the process, None while there is none."""
        return self._process.pid

    def end(self) -> None:
        """Lets those who wait hear that there is none; takes no lock, so that a handler of signals may call it."""
        self._ended = True

    async def make(self, looked: Looked, left: Callable[[], Awaitable[bool]]) -> Maps:
        """The heatmaps of a caption, one for each word of the model's.

        Args:
            looked: what was captioned.
            left: whether nobody waits for them any more, asked when their turn has come.

        Raises:
            NoHeatmap: there are none.
            CapcliError: the process does not start, or ended; another wish may go better.
        """
        await run_in_threadpool(self._require, looked)
        key = (looked, await run_in_threadpool(_state, looked.path))
        async with self._turn:
            if key not in self._made:
                if await left():
                    raise NoHeatmap("nobody waits for it")
                self._made[key] = await self._ask(ask(looked, self._model))
            self._made.move_to_end(key)
            if len(self._made) > REMEMBERED:
                self._made.popitem(last=False)
            return self._made[key]

    def _require(self, looked: Looked) -> None:
        """Raises NoHeatmap where another model wrote the caption."""
        try:
            model = know_model(self._model.model).identity
        except CapcliError as error:
            raise NoHeatmap(str(error)) from None
        if looked.model_sha256 != model.sha256:
            wrote = f"the model {looked.model}" if looked.model else "no model that is known"
            raise NoHeatmap(
                f"{wrote} wrote the caption, not {model.name}; start capcli review with --model and that one"
            )

    async def _ask(self, wanted: bytes) -> Maps:
        reading = asyncio.get_running_loop().run_in_executor(self._thread, self._read, wanted)
        try:
            while not (await asyncio.wait({reading}, timeout=_TICK))[0]:
                self._process.tick(_TICK)
                if self._ended:
                    self._process.close()
            return await reading
        finally:
            reading.cancel()  # where the server ends meanwhile, so that nobody tells a loop that is closed

    def _read(self, wanted: bytes) -> Maps:
        try:
            kind, content = self._process.read(wanted)
        except (Crash, TooSlow) as error:
            raise CapcliError(
                f"the process that makes heatmaps ended ({error}); another word starts it again"
            ) from None
        except CancelledError:
            raise NoHeatmap("the server ends") from None
        if kind is not Kind.PIXELS:
            raise NoHeatmap(content.decode())
        maps: Maps = json.loads(content)
        return maps


def _state(path: str) -> tuple[int, int] | None:
    """By which a changed file is noticed."""
    try:
        state = os.stat(path)  # noqa: PTH116 - of names that Path would change
    except (OSError, ValueError):
        return None
    return state.st_size, state.st_mtime_ns
