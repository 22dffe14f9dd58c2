"""Where pictures become answers: read by processes, and put before the model together with those of other requests."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from capcli.arrays import UInt8Array
from capcli.caption import Caption
from capcli.decoding.options import DecodingOptions
from capcli.errors import UnreadableImage, UsageError
from capcli.pictures.stream import Reading, ReadingPool
from capcli.serve.batcher import Batcher
from capcli.serve.metrics import Metrics
from capcli.serve.payload import Sent
from capcli.serve.wish import METHOD, Question, Wish

if TYPE_CHECKING:
    from capcli.captioning import BaseCaptioner
    from capcli.keywords.chooser import KeywordChooser


@dataclass(frozen=True)
class Seen:
    """What became of a picture.

    Attributes:
        name: what its client calls it.
        caption: of the model; None where the picture could not be read.
        error: why it could not.
        size: its width and height in pixels, upright, where maps are wanted.
        view: uint8 H x W x 3, small and upright, where overlays are.
    """

    name: str
    caption: Caption | None = None
    error: UnreadableImage | None = None
    size: tuple[int, int] = (0, 0)
    view: UInt8Array | None = field(default=None, repr=False)


class Desk:
    """Has pictures read and captioned; a context manager within an event loop.

    Args:
        captioner: of any kind.
        pool: reads pictures.
        options: how captions are chosen where nothing else is asked for.
        chooser: gives keywords, the most that may be asked for; None for a model without any.
        batch_size: pictures that the model gets at once.
        max_pixels: of a picture.
        metrics: hears of pictures and batches.
    """

    def __init__(
        self,
        captioner: BaseCaptioner,
        pool: ReadingPool,
        options: DecodingOptions,
        chooser: KeywordChooser | None,
        *,
        batch_size: int,
        max_pixels: int,
        metrics: Metrics,
    ) -> None:
        self.captioner, self.options = captioner, options
        self._pool, self._chooser, self._batch_size = pool, chooser, batch_size
        self._max_pixels, self._metrics = max_pixels, metrics

    async def __aenter__(self) -> Desk:
        self._batcher = await Batcher(self._compute, self._batch_size, self._metrics.count_batch).__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._batcher.__aexit__(*error)

    @property
    def waiting(self) -> int:
        """Pictures that were read and have no answer yet."""
        return self._batcher.waiting

    @property
    def delay(self) -> int:
        """Whole seconds after which those will have their answers, at least 1."""
        return self._batcher.delay

    def check_keywords(self, wish: Wish) -> None:
        """Raises UsageError where keywords are wanted and the model has none."""
        if wish.keywords and self._chooser is None:
            raise UsageError(f"{self.captioner.name} has no keywords; leave keywords out")

    async def look(self, pictures: Sequence[Sent], wish: Wish) -> list[Seen]:
        """What becomes of pictures, in their order.

        Raises:
            UsageError: the model cannot answer the question.
            CapcliError: the memory does not hold even one picture, or no process reads any more.
        """
        # First all are read, so that those of one request go to the model together.
        with self._batcher.expecting(len(pictures)):
            found = await asyncio.gather(*(self._find(picture, wish) for picture in pictures))
        return list(await asyncio.gather(*(self._ask(seen, array, wish) for seen, array in found)))

    async def _find(self, picture: Sent, wish: Wish) -> tuple[Seen, UInt8Array | None]:
        """A picture as its client gets it, still without a caption, and as the model does."""
        captioner, maps = self.captioner, wish.question.maps
        proportions = captioner.keeps_proportions
        reading = await self._read(picture, captioner.size, proportions=proportions, described=maps)
        view, size = None, (0, 0)
        if maps and wish.overlay.overlay and reading.array is not None:
            view = (await self._read(picture, wish.overlay.side, proportions=True)).array
        if reading.facts is not None:
            size = reading.facts.width, reading.facts.height
        return Seen(picture.name, error=reading.error, size=size, view=view), reading.array

    async def _ask(self, seen: Seen, array: UInt8Array | None, wish: Wish) -> Seen:
        """A picture with its caption, unless it could not be read."""
        if array is not None:
            seen = dataclasses.replace(seen, caption=await self._batcher.ask(array, wish.question))
        self._metrics.count_picture(captioned=array is not None)
        return seen

    async def _read(self, picture: Sent, size: int, *, proportions: bool, described: bool = False) -> Reading:
        coming = self._pool.read(
            picture.content, size, proportions=proportions, described=described, most_pixels=self._max_pixels
        )
        return await asyncio.wrap_future(coming)

    def _compute(self, question: Question, arrays: UInt8Array) -> Sequence[Caption]:
        chooser = self._chooser if question.keywords else None
        if not question.maps:
            return self.captioner.caption_arrays(arrays, question.decoding, chooser)
        return self.captioner.attend_arrays(
            arrays, question.decoding, caption=question.sentence, method=METHOD, chooser=chooser
        )
