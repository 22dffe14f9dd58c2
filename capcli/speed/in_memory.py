"""Pictures captioned per second from memory by models in turns, so that whatever else goes on slows all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from capcli.arrays import UInt8Array

if TYPE_CHECKING:
    from capcli.captioner import Captioner

ROUNDS = 5


@dataclass(frozen=True)
class Speed:
    """How fast models are.

    Attributes:
        rounds: in each round the pictures per second of every model, all above 0.
        pictures: how many each captioned in a round.
        device: where.
        precision: of each model's encoder and decoder, as `Captioner.precision`.
    """

    rounds: tuple[tuple[float, ...], ...]
    pictures: int
    device: str
    precision: tuple[tuple[str, str], ...]

    def rate(self, model: int) -> float:
        """Pictures per second, the median of the rounds."""
        return statistics.median(each[model] for each in self.rounds)

    def ratio(self, model: int) -> tuple[float, float, float]:
        """How many times as fast as the first it is: the median of the rounds, the least and the most."""
        ratios = [each[model] / each[0] for each in self.rounds]
        return statistics.median(ratios), min(ratios), max(ratios)

    def verdict(self, model: int) -> str:
        """Whether a model is faster than the first, in words; a difference is one that all rounds agree on."""
        middle, least, most = self.ratio(model)
        word = "faster" if least > 1 else "slower" if most < 1 else "neither faster nor slower"
        return f"{word}: {middle:.2f} times as fast ({least:.2f} to {most:.2f} in {len(self.rounds)} rounds)"

    def to_json(self, model: int) -> dict[str, object]:
        """What was found of one model, as plain values."""
        middle, least, most = self.ratio(model)
        return {
            "images_per_second": round(self.rate(model), 2),
            "rounds": [round(each[model], 2) for each in self.rounds],
            "pictures": self.pictures,
            "device": self.device,
            "precision": {"encoder": self.precision[model][0], "decoder": self.precision[model][1]},
            "times_the_first": {"median": round(middle, 3), "least": round(least, 3), "most": round(most, 3)},
        }


def measure(
    captioners: Sequence[Captioner],
    prepared: Sequence[UInt8Array],
    batch_size: int,
    *,
    rounds: int = ROUNDS,
    progress: Callable[[int, int], None] | None = None,
) -> Speed:
    """Lets models caption the same pictures in turns, each with its own decoding options.

    A batch warms each model up before its time is taken; reading pictures takes none of it.

    Args:
        captioners: the models, on the same device.
        prepared: for each of them the pictures, as `Captioner.prepare` makes them: uint8 B x S x S x 3, B above 0.
        batch_size: pictures captioned at once.
        rounds: how often each model captions them all.
        progress: is called after every turn with how many there were and will be.

    Raises:
        CapcliError: if the memory does not hold even one picture.
    """
    for captioner, arrays in zip(captioners, prepared, strict=True):
        captioner.caption_arrays(arrays[:batch_size])
    found: list[tuple[float, ...]] = []
    for number in range(rounds):
        rates = []
        for place, (captioner, arrays) in enumerate(zip(captioners, prepared, strict=True), 1):
            start = time.perf_counter()
            for first in range(0, len(arrays), batch_size):
                captioner.caption_arrays(arrays[first : first + batch_size])
            rates.append(len(arrays) / (time.perf_counter() - start))
            if progress:
                progress(number * len(captioners) + place, rounds * len(captioners))
        found.append(tuple(rates))
    device, precision = str(captioners[0].device), tuple(captioner.precision for captioner in captioners)
    return Speed(tuple(found), len(prepared[0]), device, precision)
