"""The job of `capcli caption`: captions of pictures, written where the user wants them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from capcli.output import Result
from capcli.output.origin import OriginRecord
from capcli.output.outputs import Outputs
from capcli.runs.batches import make_result
from capcli.runs.tally import Tally

if TYPE_CHECKING:
    from capcli.arrays import UInt8Array
    from capcli.caption import Caption
    from capcli.keywords.chooser import KeywordChooser
    from capcli.pictures.stream import Reading
    from capcli.runs.session import Session


class WriteCaptions:
    """A `Job` that captions pictures and hands the results to outputs.

    Args:
        outputs: take the results.
        with_words: put the words' log-probabilities into them.
        chooser: chooses keywords, which then are in them, too.
    """

    singly = False

    def __init__(self, outputs: Outputs, *, with_words: bool = False, chooser: KeywordChooser | None = None) -> None:
        self._outputs, self._with_words, self._chooser = outputs, with_words, chooser
        self._session: Session

    @property
    def notes(self) -> Sequence[str]:
        return [*(self._chooser.notes if self._chooser else ()), *self._outputs.notes]

    @property
    def records(self) -> Sequence[OriginRecord]:
        return self._outputs.records

    def todo(self, pictures: Sequence[Path]) -> list[Path]:
        return self._outputs.todo(pictures)

    def failed(self, picture: Path) -> bool:
        return self._outputs.failed(picture)

    def begin(self, session: Session) -> None:
        self._session = session

    def ask(self, arrays: UInt8Array) -> list[Caption]:
        return self._session.captioner.caption_arrays(arrays, self._session.options, self._chooser)

    def keep(self, reading: Reading, answer: Caption | None) -> Result:
        name = self._session.captioner.name
        return self._outputs.write(make_result(reading, answer, name, with_words=self._with_words))

    def finish(self, tally: Tally, *, interrupted: bool) -> None:
        kept = self._outputs.kept_sidecars
        if kept:
            told = f"{kept:,} sidecars said something else already and stayed; --overwrite replaces them"
            self._session.observer.warn(told)
