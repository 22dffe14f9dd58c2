"""How fast this machine captions, measured in rounds of turns, so that whatever else goes on slows all alike."""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from capcli.engines.choice import installed
from capcli.errors import CapcliError, UnreadableImage
from capcli.known import know_model
from capcli.model.options import ModelOptions
from capcli.pictures.find import find_pictures
from capcli.pictures.read import read_picture
from capcli.speed.machine import describe_machine
from capcli.speed.made_pictures import write_pictures
from capcli.speed.options import BenchOptions
from capcli.speed.turns import Work, encoder_of, take_turn, time_command
from capcli.words.counting import count_of


@dataclass(frozen=True)
class Spread:
    """Figures of several rounds."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, figures: Iterable[float]) -> Spread:
        """The spread of at least one figure."""
        known = list(figures)
        return cls(statistics.median(known), min(known), max(known))


@dataclass(frozen=True)
class Round:
    """What one round found.

    Attributes:
        rate: pictures captioned per second, from a folder into a file of rows.
        first: seconds from the start of a new process to the end of it, with the caption of one picture.
        encoder: pictures per second through the encoder alone; None where that cannot be measured.
        peak: memory in bytes of the process that captions the folder; None where the system does not tell.
    """

    rate: float
    first: float
    encoder: float | None
    peak: float | None


@dataclass(frozen=True)
class Bench:
    """How fast a machine captions.

    Attributes:
        machine: as `describe_machine` has it.
        model: its name, SHA-256, engine, device, beam and batch.
        encoder: the encoder that was measured alone, or why none was; for people.
        timed_on: what was captioned; for people.
        rounds: at least one.
        notes: what the reader must know, a line each.
    """

    machine: dict[str, object]
    model: dict[str, object]
    encoder: str
    timed_on: str
    rounds: tuple[Round, ...]
    notes: tuple[str, ...]

    @property
    def figures(self) -> dict[str, Spread]:
        """The spread of each figure that could be measured, by its name."""
        alone = [(each.rate, each.encoder) for each in self.rounds if each.encoder is not None]
        peaks = [each.peak for each in self.rounds if each.peak is not None]
        found = {
            "images_per_second": [each.rate for each in self.rounds],
            "first_caption_seconds": [each.first for each in self.rounds],
            "encoder_images_per_second": [encoder for _, encoder in alone],
            "times_the_encoder": [rate / encoder for rate, encoder in alone],
            "peak_memory_bytes": peaks,
        }
        return {name: Spread.of(figures) for name, figures in found.items() if figures}

    def to_json(self) -> dict[str, object]:
        """All of it as plain values."""
        return {
            "machine": self.machine,
            "model": self.model,
            "encoder": self.encoder,
            "timed_on": self.timed_on,
            **{name: asdict(spread) for name, spread in self.figures.items()},
            "rounds": [asdict(each) for each in self.rounds],
            "notes": list(self.notes),
        }


def measure_machine(
    options: BenchOptions, model: ModelOptions, *, progress: Callable[[int, int], None] = lambda done, total: None
) -> Bench:
    """Measures a model on this machine. One first caption before the rounds warms the disk's cache.

    Args:
        options: on which pictures, and how often.
        model: the model, where it computes, and how many pictures at once.
        progress: is called after every turn with how many there were and will be.

    Raises:
        UsageError: if there are no pictures, or the model cannot compute there.
        ModelError: if there is no such model.
        CapcliError: if none of the pictures can be read, or a process that measures fails.
    """
    know_model(model.model)
    encoder, encoder_text = _choose_encoder(model.model)
    turns = 3 if encoder else 2
    with tempfile.TemporaryDirectory() as made:
        folder = options.pictures or Path(made)
        if options.pictures is None:
            write_pictures(folder, options.count)
        pictures = find_pictures([folder]).pictures[: options.count]
        work = Work(model, folder, len(pictures))
        first = _first_caption(model, _first_readable(pictures))
        time_command(first)
        rounds, found = [], dict[str, Any]()
        for number in range(options.rounds):
            rate = take_turn("encoder", work)["rate"] if encoder else None
            progress(number * turns + turns - 2, options.rounds * turns)
            found = take_turn("folder", work)
            progress(number * turns + turns - 1, options.rounds * turns)
            rounds.append(Round(found["rate"], time_command(first)[1], rate, found["peak"]))
            progress((number + 1) * turns, options.rounds * turns)
    timed_on = f"{count_of(len(pictures), 'photograph')} of {folder}"
    if options.pictures is None:
        timed_on = f"{len(pictures)} made pictures of 640 x 480 pixels (--pictures PATH takes photographs)"
    about = {**know_model(model.model).identity.to_json(), "batch_size": model.batch_size}
    about |= {name: found[name] for name in ("engine", "device", "beam_size")}
    failed = [f"{count_of(found['failed'], 'picture')} could not be read"] if found["failed"] else []
    return Bench(describe_machine(), about, encoder_text, timed_on, tuple(rounds), (*found["notes"], *failed))


def _choose_encoder(model: str) -> tuple[str | None, str]:
    """The name of the encoder to measure alone, and what to say of it; None, and why, where there is none."""
    for package in ("torch", "torchvision"):
        if not installed(package):
            return None, f"{package} is not installed"
    encoder = encoder_of(model)
    if encoder is None:
        return None, f"{model} has no encoder of torchvision"
    name, side = encoder
    return name, f"{name} of {side} x {side} pixels in torch, float32"


def _first_readable(pictures: Sequence[Path]) -> Path:
    for picture in pictures:
        with suppress(UnreadableImage):
            read_picture(picture)
            return picture
    raise CapcliError(f"no picture can be read, such as {pictures[0]}")


def _first_caption(model: ModelOptions, picture: Path) -> list[str]:
    chosen = {"model": model.model, "device": model.device, "engine": model.engine, "lm": model.lm}
    options = [part for name, value in chosen.items() if value is not None for part in (f"--{name}", value)]
    return [sys.executable, "-m", "capcli", "caption", *options, "--", str(picture)]
