"""Captions of the images of references, made by a model and possibly kept in a file."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from collections.abc import Iterable, Mapping, Set
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from capcli.datasets.dataset import parse_json, read_text
from capcli.datasets.records import Record
from capcli.decoding.options import DecodingOptions
from capcli.errors import CapcliError, UsageError, system_reason
from capcli.evaluation.predictions import Prediction, read_predictions
from capcli.evaluation.provenance import model_files
from capcli.evaluation.references import References
from capcli.files.atomic import write_atomic
from capcli.files.json import dumps
from capcli.model.options import ModelOptions
from capcli.output import Result, Writer
from capcli.output.options import OutputOptions
from capcli.output.outputs import Outputs
from capcli.runs.batches import caption_pictures
from capcli.runs.resuming import plan_resume
from capcli.runs.tally import Tally

if TYPE_CHECKING:
    from capcli.captioner import Captioner
    from capcli.pictures.stream import ReadingPool


@dataclass(frozen=True)
class Captioned:
    """What a model said.

    Attributes:
        predictions: one for every image; an image that cannot be read has an error.
        run: model, decoding options, device, batch size and speed, as plain values.
        notes: what a reader of figures must know, a line each.
    """

    predictions: tuple[Prediction, ...]
    run: Mapping[str, Any]
    notes: tuple[str, ...] = ()


class Runner(Protocol):
    """Captions pictures, each handed to `outputs` exactly once and in order, `mates` excepted; counts by `tally`."""

    def __call__(
        self,
        captioner: Captioner,
        pictures: Iterable[Path | None],
        outputs: Writer,
        pool: ReadingPool,
        tally: Tally,
        *,
        options: DecodingOptions,
        batch_size: int,
        mates: Set[Path],
        total: int,
    ) -> None: ...


def run_quietly(
    captioner: Captioner,
    pictures: Iterable[Path | None],
    outputs: Writer,
    pool: ReadingPool,
    tally: Tally,
    *,
    options: DecodingOptions,
    batch_size: int,
    mates: Set[Path],
    total: int,
) -> None:
    """A `Runner` that prints nothing."""
    start = time.monotonic()
    for batch in caption_pictures(captioner, pictures, pool, options, batch_size=batch_size):
        for result in batch:
            if result.path not in mates:
                tally.count(outputs.write(result))
        tally.seconds = time.monotonic() - start


def caption_references(
    references: References,
    model: ModelOptions,
    decoding: Mapping[str, Any] | None = None,
    *,
    keep: Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    run: Runner = run_quietly,
) -> Captioned:
    """Captions the images that are there and have references, those that `keep` holds excepted.

    Args:
        references: whose images.
        model: the model, where it computes, and how many images at once.
        decoding: fields of DecodingOptions that take the place of the model's own.
        keep: a file of JSON lines to keep the captions in; beside it `KEEP.settings.json` says what made them.
        resume: go on with what `keep` holds; failures are tried again.
        overwrite: begin `keep` anew.
        run: captions the pictures.

    Raises:
        UsageError: for a model or options that cannot be used, and if `keep` exists and neither `resume` nor
            `overwrite` is asked for, or something else made what it holds.
        CapcliError: if the disk or the memory is full.
    """
    there = (item.image for item in references.items if item.captions and item.image is not None)
    pictures = list(dict.fromkeys(there))
    if not pictures:
        raise UsageError(f"{references.source}: none of its images is on disk, first {references.items[0].name}")
    files = model_files(model)
    rows: list[Prediction] = []
    held: list[Prediction] = []
    notes: list[str] = []
    tally = Tally()
    with ExitStack() as stack:
        outputs, todo = None, pictures
        if keep is not None:
            to = OutputOptions(output=keep, format="jsonl", retry_failed=resume, overwrite=overwrite)
            outputs = stack.enter_context(Outputs(to, sys.stdout.buffer, Path()))
            todo = outputs.todo(pictures)
            notes += outputs.notes
            if resume and keep.stat().st_size:
                rows = read_predictions(keep)
            settled = set(map(_real, set(pictures) - set(todo)))
            held = [row for row in rows if _real(Path(row.names[0])) in settled]
            if others := len(rows) - len(held):
                notes.append(f"{keep} also holds rows of {others:,} other images, which are not scored")
        tally.skipped = len(pictures) - len(todo)

        from capcli.pictures.stream import ReadingPool

        # The processes that read pictures load while torch does.
        pool = stack.enter_context(ReadingPool())
        from capcli.captioner import Captioner

        captioner = Captioner.load(model.model, model.device, model.lm)
        options = captioner.options.replace(**(decoding or {}))
        captioner.check(options)
        # Another batch size changes no more than the last digits of a confidence.
        settings = {
            "model": captioner.name,
            "sha256": files["model"]["sha256"],
            **({"language_model": files["language_model"]["sha256"]} if model.lm else {}),
            "device": str(captioner.device).partition(":")[0],
            **dataclasses.asdict(options),
        }
        kept = _Kept(outputs, _Settings(keep, settings) if keep is not None else None)
        if rows:
            kept.go_on()
        paths, mates = plan_resume(todo, pictures, model.batch_size)
        run(
            captioner,
            paths,
            kept,
            pool,
            tally,
            options=options,
            batch_size=model.batch_size,
            mates=mates,
            total=len(mates) + len(todo),
        )
    return Captioned(
        (*held, *kept.predictions),
        {
            **files,
            "decoding": dataclasses.asdict(options),
            "device": str(captioner.device),
            "batch_size": model.batch_size,
            "images_per_second": round(tally.captioned / tally.seconds, 2) if tally.captioned else None,
        },
        tuple(notes),
    )


class _Settings:
    """The file that says what made the captions of another."""

    def __init__(self, captions: Path, settings: Mapping[str, Any]) -> None:
        self._captions = captions
        self._path = Path(f"{captions}.settings.json")
        self._content = dumps(settings, indent=2) + b"\n"

    def check(self) -> None:
        """Raises UsageError if something else made the captions, or nothing says what did."""
        advice = "name another file, or --overwrite begins it anew"
        if not self._path.is_file():
            raise UsageError(f"{self._captions}: {self._path.name} is not beside it to say what made it; {advice}")
        held, now = parse_json(read_text(self._path), self._path), json.loads(self._content)
        if not isinstance(held, dict):
            raise UsageError(f"{self._path}: does not say what made {self._captions.name}; {advice}")
        for key, value in now.items():
            if held.get(key) != value:
                told = f"{key.replace('_', ' ')} {_short(held.get(key))}, not {_short(value)}"
                raise UsageError(f"{self._captions} holds captions made with {told}; {advice}")

    def forget(self) -> None:
        self._path.unlink(missing_ok=True)

    def write(self) -> None:
        write_atomic(self._path, self._content)


class _Kept:
    """Takes results, to score them and to write them where the user keeps them."""

    def __init__(self, outputs: Outputs | None, settings: _Settings | None) -> None:
        self._outputs, self._settings = outputs, settings
        self.predictions: list[Prediction] = []

    def go_on(self) -> None:
        """Add to captions that are there; raises UsageError where something else made them."""
        if self._settings is not None:
            self._settings.check()
            self._settings = None

    def write(self, result: Result) -> Result:
        row = result.row()
        self.predictions.append(Prediction.of(Record(row["path"], row)))
        if self._outputs is None:
            return result
        if self._settings is None:
            return self._outputs.write(result)
        # In this order, so that a run that is killed in between leaves captions that nothing says the origin of, and
        # never ones that the wrong settings stand beside.
        try:
            self._settings.forget()
            written = self._outputs.write(result)
            self._settings.write()
        except OSError as error:
            raise CapcliError(f"{error.filename}: {system_reason(error)}") from None
        self._settings = None
        return written


def _real(path: Path) -> str:
    return os.path.normcase(os.path.abspath(path))  # noqa: PTH100 - Path.resolve would follow links


def _short(value: object) -> object:
    """Enough of a hash to tell it from another."""
    return value[:12] if isinstance(value, str) and len(value) == 64 else value
