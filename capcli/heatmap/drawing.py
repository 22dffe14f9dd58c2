"""The job of `capcli attend`: captions of pictures with their maps, drawn word by word."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from capcli.attribution.methods import DEFAULT_METHOD
from capcli.errors import UnreadableImage
from capcli.files.names import escape
from capcli.heatmap.files import DrawingError, is_of_kind
from capcli.heatmap.options import AttendOptions
from capcli.output import Result
from capcli.output.resume_record import ResumeRecord
from capcli.output.survey import Survey, look_through
from capcli.runs.batches import report_unreadable
from capcli.runs.tally import Tally

if TYPE_CHECKING:
    from capcli.arrays import UInt8Array
    from capcli.caption import Caption
    from capcli.keywords.chooser import KeywordChooser
    from capcli.pictures.stream import Reading
    from capcli.runs.session import Session


class Canvas(Protocol):
    """Takes captions with their maps; `capcli.heatmap.files.Drawings` is one."""

    def is_settled(self, picture: Path) -> bool:
        """Whether a picture has its drawing already, and keeps it."""
        ...

    def begin(self) -> None:
        """Makes everything ready, once nothing is wrong with the model; raises OSError."""
        ...

    def write(self, picture: Path, caption: Caption, *, method: str, model: str) -> list[Path]:
        """Draws a picture, and says into which files; raises UnreadableImage, DrawingError and CapcliError."""
        ...

    def fail(self, picture: Path, reason: str) -> None:
        """Hears of a picture that has no drawing."""
        ...

    def finish(self) -> list[str]:
        """Ends with an index, if there is to be one; raises CapcliError.

        Returns:
            what the user must know of the drawings, a line each.
        """
        ...


class DrawMaps:
    """A `Job` that captions pictures and draws where the model looked for every word.

    Args:
        canvas: takes what is to be drawn.
        wish: which words are drawn, of which sentence, by which method.
        stdout: takes `path<TAB>file` for every picture's file.
        chooser: chooses keywords, which pages, JSON and npz then show.
        keywords: the options that make them, by their names.
    """

    singly = True
    describes = False

    def __init__(
        self,
        canvas: Canvas,
        wish: AttendOptions,
        stdout: BinaryIO,
        chooser: KeywordChooser | None = None,
        keywords: Mapping[str, object] | None = None,
    ) -> None:
        self._canvas, self._wish, self._stdout, self._chooser = canvas, wish, stdout, chooser
        self.notes: Sequence[str] = chooser.notes if chooser else ()
        self._method = wish.method or DEFAULT_METHOD
        self._missing = set(wish.chosen)
        self._warned: set[str] = set()
        self._session: Session
        self.records: Sequence[ResumeRecord] = ()
        if wish.output is not None:
            sought: dict[str, object] = {
                "method": self._method,
                "caption": wish.caption,
                "words": ",".join(sorted(wish.chosen)),
            }
            sought |= keywords or {}
            how = {"overwrite": wish.overwrite, "resumes": wish.resumes, "anyway": wish.resume_anyway}
            is_result = partial(is_of_kind, kind=wish.as_)
            self.records = [ResumeRecord.of_folder(wish.output, wish.as_, sought, is_result, **how)]

    def survey(self, pictures: Iterable[Path]) -> Survey:
        return look_through(pictures, self.is_settled)

    def is_settled(self, picture: Path) -> bool:
        return self._canvas.is_settled(picture)

    def begin(self, session: Session) -> None:
        import numpy as np

        self._session = session
        if session.options.num_captions > 1:
            session.observer.warn("the best caption of each picture is drawn, the others are not")
        # Of no picture at all: what is wrong with the options shows before anything is made.
        size = session.captioner.size
        self.ask(np.empty((0, size, size, 3), np.uint8))
        self._canvas.begin()

    def ask(self, arrays: UInt8Array) -> list[Caption]:
        return self._session.captioner.attend_arrays(
            arrays, self._session.options, caption=self._wish.caption, method=self._method, chooser=self._chooser
        )

    def is_asked(self, reading: Reading) -> bool:
        return True

    def keep(self, reading: Reading, answer: Caption | None) -> Result | None:
        result = report_unreadable(reading) if answer is None else self._draw(reading.path, answer)
        if result is not None and result.error is not None:
            self._canvas.fail(reading.path, result.error)
        return result

    def finish(self, tally: Tally, *, interrupted: bool) -> None:
        observer = self._session.observer
        for note in self._canvas.finish():
            observer.warn(note)
        # What was not looked at this time may have them.
        if self._missing and (tally.captioned or tally.undrawn) and not (tally.skipped or interrupted):
            observer.warn(f"in no caption: {', '.join(sorted(self._missing))}")

    def _draw(self, path: Path, caption: Caption) -> Result | None:
        """Draws a picture; None, and why, if its caption has no word to draw."""
        chosen = self._wish.chosen
        self._tell_unknown(caption)
        self._missing.difference_update(word.text for word in caption.words)
        words = tuple(word for word in caption.words if not chosen or word.text in chosen)
        if not words:
            which = f"none of {', '.join(sorted(chosen))} is" if chosen else "no word is"
            reason = f"{which} in its caption, {caption.text!r}"
            self._session.observer.warn(f"{path}: {reason}")
            self._canvas.fail(path, reason)
            return None
        name = self._session.captioner.name
        try:
            drawn = dataclasses.replace(caption, words=words)
            for file in self._canvas.write(path, drawn, method=self._method, model=name):
                self._stdout.write(os.fsencode(f"{escape(path)}\t{escape(file)}\n"))
                self._stdout.flush()
        except UnreadableImage as unreadable:
            return Result(path, error=unreadable.reason)
        except DrawingError as failed:
            return Result(path, error=str(failed))
        return Result(path, (caption.text,), (caption.confidence,), name, caption.uncertain)

    def _tell_unknown(self, caption: Caption) -> None:
        """Says which words the model does not know, each once."""
        unknown = dict.fromkeys(word.text for word in caption.words if not word.known and word.text not in self._warned)
        if unknown:
            self._warned.update(unknown)
            words = f"{'word' if len(unknown) == 1 else 'words'} {', '.join(map(repr, unknown))}"
            self._session.observer.warn(
                f"the model does not know the {words}: drawn without a probability, by attention alone"
            )
