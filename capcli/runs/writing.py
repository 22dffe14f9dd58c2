"""The job of `capcli caption`: captions of pictures, written where the user wants them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from capcli.output import Result
from capcli.output.outputs import Outputs
from capcli.output.resume_record import ResumeRecord
from capcli.output.shard import Share
from capcli.output.survey import Survey
from capcli.runs.batches import make_result
from capcli.runs.tally import Tally

if TYPE_CHECKING:
    from capcli.arrays import Float32Array, UInt8Array
    from capcli.caption import Caption
    from capcli.keywords.chooser import KeywordChooser
    from capcli.library.bursts import Bursts
    from capcli.pictures.stream import Reading
    from capcli.runs.session import Session


Answer = tuple["Caption", "Float32Array | None"]
"""A caption and, where a library wants it, the matcher's vector of its picture."""


class WriteCaptions:
    """A `Job` that captions pictures and hands the results to outputs.

    Args:
        outputs: take the results.
        with_words: put the words' log-probabilities into them.
        chooser: chooses keywords, which then are in them, too.
        share: whose pictures they are, where several runs share them.
        bursts: tells which pictures get the caption of another one, where that is wanted.
    """

    singly = False

    def __init__(
        self,
        outputs: Outputs,
        *,
        with_words: bool = False,
        chooser: KeywordChooser | None = None,
        share: Share | None = None,
        bursts: Bursts | None = None,
    ) -> None:
        self._outputs, self._with_words, self._chooser = outputs, with_words, chooser
        self._share, self._bursts = share, bursts
        self._session: Session

    @property
    def describes(self) -> bool:
        return self._outputs.describes

    @property
    def notes(self) -> Sequence[str]:
        return [*(self._chooser.notes if self._chooser else ()), *self._outputs.notes]

    @property
    def records(self) -> Sequence[ResumeRecord]:
        return self._outputs.records

    def survey(self, pictures: Iterable[Path]) -> Survey | None:
        return self._outputs.survey(pictures)

    def is_settled(self, picture: Path) -> bool:
        return self._outputs.settled(picture)

    def begin(self, session: Session) -> None:
        self._session = session
        if self._share is not None and self._outputs.rows is not None:
            self._share.write(self._outputs.rows, absolute=self.describes)

    def ask(self, arrays: UInt8Array) -> list[Answer]:
        captioner, options = self._session.captioner, self._session.options
        if self.describes and captioner.matches:
            return list(captioner.caption_and_embed_arrays(arrays, options, self._chooser))
        return [(caption, None) for caption in captioner.caption_arrays(arrays, options, self._chooser)]

    def is_asked(self, reading: Reading) -> bool:
        return self._bursts is None or self._bursts.is_asked(reading)

    def keep(self, reading: Reading, answer: Answer | None) -> Result:
        if self._bursts is not None and answer is None and reading.error is None:
            return self._outputs.write(self._bursts.copy(reading))
        caption, vector = answer or (None, None)
        result = make_result(reading, caption, self._session.captioner.name, with_words=self._with_words)
        origin = self._session.origin
        if self.describes and origin is not None:
            result = dataclasses.replace(result, vector=vector, model_sha256=origin.model.sha256)
        if self._bursts is not None:
            result = self._bursts.mark(result)
        return self._outputs.write(result)

    def complete(self) -> None:
        """Says in the outputs that a run has settled all of its pictures; raises CapcliError."""
        for kept in self._outputs.kept:
            kept.complete()
        if self._share is not None and self._outputs.rows is not None:
            ended = self._share.ended(self._outputs.rowless)
            ended.write(self._outputs.rows, absolute=self.describes)

    def finish(self, tally: Tally, *, interrupted: bool) -> None:
        kept = self._outputs.kept_sidecars
        if kept:
            note = f"{kept:,} sidecars said something else already and stayed; --overwrite replaces them"
            self._session.observer.warn(note)
