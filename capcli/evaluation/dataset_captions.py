"""Captions of the images of references, made by a model and possibly kept in a file."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from capcli.datasets.records import Record
from capcli.errors import UsageError
from capcli.evaluation.predictions import Prediction, read_predictions
from capcli.evaluation.provenance import RunFacts, model_files
from capcli.evaluation.references import References
from capcli.output import Result
from capcli.output.options import OutputOptions
from capcli.output.outputs import Outputs
from capcli.output.resume_record import ResumeRecord
from capcli.output.survey import Survey
from capcli.runs.batches import make_result
from capcli.runs.session import Session
from capcli.runs.tally import Tally

if TYPE_CHECKING:
    from capcli.arrays import Float32Array, UInt8Array
    from capcli.caption import Caption
    from capcli.pictures.stream import Reading


@dataclass(frozen=True)
class Captioned:
    """What a model said.

    Attributes:
        predictions: one for every image; an image that cannot be read has an error.
        run: model, decoding options, device, batch size and speed, as plain values.
        tally: what became of the images.
        notes: what a reader of figures must know, a line each.
        vectors: the matcher's unit vectors of the images that were captioned just now, where they were asked for; None
            for one that cannot be read.
    """

    predictions: tuple[Prediction, ...]
    run: RunFacts
    tally: Tally
    notes: tuple[str, ...] = ()
    vectors: Mapping[Path, Float32Array | None] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        """How many images have an error in the place of a caption."""
        return sum(prediction.error is not None for prediction in self.predictions)


def caption_references(
    references: References,
    session: Session,
    *,
    keep: OutputOptions | None = None,
    embed: bool = False,
) -> Captioned:
    """Captions the images that are there and have references, those that `keep` holds excepted.

    Args:
        references: whose images.
        session: the model.
        keep: names a file of JSON lines to keep the captions in, and says whether to go on with it.
        embed: also give the vectors of the model's matcher, which must have one.

    Raises:
        UsageError: for a model or options that cannot be used; if `keep` exists and nothing says what to do with it, or
            something else made what it holds.
        CapcliError: if the disk or the memory is full.
    """
    there = (item.image for item in references.items if item.captions and item.image is not None)
    pictures = list(dict.fromkeys(there))
    if not pictures:
        raise UsageError(f"{references.source}: none of its images is on disk, first {references.items[0].name}")
    files = model_files(session.model)
    with ExitStack() as stack:
        outputs = None
        if keep is not None:
            outputs = stack.enter_context(Outputs(keep, sys.stdout.buffer, Path()))
        job = _CollectPredictions(outputs, keep, embed=embed)
        tally = session.run(job, pictures)
    return Captioned(
        (*job.held, *job.predictions),
        {
            **files,
            "decoding": dataclasses.asdict(session.options),
            "device": str(session.captioner.device),
            "batch_size": session.model.batch_size,
            "images_per_second": round(tally.captioned / tally.seconds, 2) if tally.captioned else None,
        },
        tally,
        tuple(job.remarks),
        job.vectors,
    )


class _CollectPredictions:
    """A `Job` that captions images, to score the captions and to write them where the user keeps them.

    Attributes:
        predictions: of the images that were captioned.
        held: of those that earlier runs captioned.
        remarks: what a reader of figures must know, a line each.
        vectors: as `Captioned.vectors`.
    """

    singly = False
    describes = False
    notes: Sequence[str] = ()

    def __init__(self, outputs: Outputs | None, keep: OutputOptions | None, *, embed: bool) -> None:
        self._outputs, self._keep, self._embed = outputs, keep, embed
        self.records: Sequence[ResumeRecord] = outputs.records if outputs else ()
        self.predictions: list[Prediction] = []
        self.held: list[Prediction] = []
        self.remarks: list[str] = []
        self.vectors: dict[Path, Float32Array | None] = {}
        self._session: Session

    def survey(self, pictures: Iterable[Path]) -> Survey | None:
        if self._outputs is None or self._keep is None:
            return None
        survey = self._outputs.survey(pictures)
        self.remarks += self._outputs.notes
        file = self._keep.output
        assert file is not None, "caption_references sees to that"
        rows = read_predictions(file) if self._keep.resumes and file.stat().st_size else []
        settled = {_real(picture) for picture in pictures if self._outputs.settled(picture)}
        self.held = [row for row in rows if _real(Path(row.names[0])) in settled]
        if others := len(rows) - len(self.held):
            self.remarks.append(f"{file} also holds rows of {others:,} other images, which are not scored")
        return survey and replace(survey, failed=0)

    def is_settled(self, picture: Path) -> bool:
        return self._outputs is not None and self._outputs.settled(picture)

    def begin(self, session: Session) -> None:
        self._session = session

    def ask(self, arrays: UInt8Array) -> Sequence[tuple[Caption, Float32Array | None]]:
        captioner, options = self._session.captioner, self._session.options
        if self._embed:
            return captioner.caption_and_embed_arrays(arrays, options)
        return [(caption, None) for caption in captioner.caption_arrays(arrays, options)]

    def is_asked(self, reading: Reading) -> bool:
        return True

    def keep(self, reading: Reading, answer: tuple[Caption, Float32Array | None] | None) -> Result:
        caption, vector = answer or (None, None)
        result = make_result(reading, caption, self._session.captioner.name)
        self.predictions.append(Prediction.of(Record(str(result.path), result.row())))
        if self._embed:
            self.vectors[reading.path] = vector
        return result if self._outputs is None else self._outputs.write(result)

    def finish(self, tally: Tally, *, interrupted: bool) -> None:
        """Nothing was begun."""


def _real(path: Path) -> str:
    return os.path.normcase(os.path.abspath(path))  # noqa: PTH100 - Path.resolve would follow links
