"""Everywhere that the results of one run go."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from capcli.errors import CapcliError, UsageError, system_reason
from capcli.output import Result, State
from capcli.output.formats.contract import Format
from capcli.output.formats.json import JsonLines
from capcli.output.formats.registry import FORMATS
from capcli.output.formats.text import Sentences
from capcli.output.options import OutputOptions
from capcli.output.origin import OriginRecord
from capcli.output.rows import RowFile, RowStream
from capcli.output.sidecar import SidecarError, Sidecars
from capcli.pictures.kinds import EXTENSIONS


class Outputs:
    """Rows, sidecars and the list of errors, fed together; a context manager.

    Args:
        options: where to.
        stdout: takes the rows where no file does.
        base: folder that holds all pictures, for the structure of sidecars.
        alone: one picture only: on stdout as text its sentence stands without the path.
        keywords: the options that make keywords, by their names; empty where results have none.

    Attributes:
        notes: remarks for the user, one line each.
        records: of what made the captions, for the outputs that a later run can go on with. Sidecars beside the
            pictures have none: they hold captions by people and by other programs as well.

    Raises:
        UsageError: if a file exists and neither resume nor overwrite is asked for, or cannot be used.
    """

    def __init__(
        self,
        options: OutputOptions,
        stdout: BinaryIO,
        base: Path,
        *,
        alone: bool = False,
        keywords: Mapping[str, object] | None = None,
    ) -> None:
        self._options = options
        self._errors: RowFile | None = None
        self.notes: list[str] = []
        form = FORMATS[options.row_format](with_keywords=bool(keywords))
        with ExitStack() as stack:
            self._rows: RowFile | RowStream
            if options.output is None:
                sentences = alone and options.row_format == "text"
                self._rows = RowStream(stdout, Sentences() if sentences else form)
            elif _is_device(options.output):
                self._rows = RowStream(stack.enter_context(options.output.open("wb")), form)
            else:
                self._rows = self._file(options.output, form)
            stack.enter_context(self._rows)
            if options.errors is not None:
                self._errors = stack.enter_context(self._file(options.errors, JsonLines()))
            self._sidecars = [
                Sidecars(kind, options.sidecar_dir, base, overwrite=options.overwrite)
                for kind in dict.fromkeys(options.sidecar)
            ]
            rows = self._rows.count if isinstance(self._rows, RowFile) else None
            self.records = list(_records(options, keywords or {}, rows))
            self._stack = stack.pop_all()

    def todo(self, pictures: Sequence[Path]) -> list[Path]:
        """Those of the pictures that are to be captioned; failures that are held of them are dropped.

        Raises:
            UsageError: if a picture is one of the outputs, or sidecars hold captions already and nothing says what to
                do with them.
        """
        files = [file for file in (self._rows, self._errors) if isinstance(file, RowFile)]
        for picture in pictures:
            if any(file.is_file(picture) for file in files):
                raise UsageError(f"{picture} is to be captioned, and an output would take its place; name another file")
        places = (self._options.output, self._options.errors)
        for sidecars in self._sidecars:
            sidecars.reserve([*pictures, *(place for place in places if place)])
        if not self._options.resumes:
            if not self._options.overwrite:
                self._refuse_sidecars(pictures)
            return list(pictures)
        todo = [picture for picture in pictures if not self.settled(picture)]
        if pictures and len(todo) == len(pictures) and any(file.count for file in files):
            self.notes.append(
                f"{self._options.output or self._options.errors} has no row of these pictures; rows of relative paths "
                "are found again from the folder where they were written"
            )
        self.forget(todo)
        return todo

    def forget(self, pictures: Iterable[Path]) -> None:
        """Drop the failures that are held of pictures which are about to be captioned again."""
        failed = [picture for picture in pictures if self.failed(picture)]
        for file in (self._rows, self._errors):
            if isinstance(file, RowFile):
                file.forget(picture for picture in failed if file.state(picture) is State.FAILED)

    def settled(self, picture: Path) -> bool:
        """Whether a resumed run has nothing to do for a picture."""
        if not self._options.resumes:
            return False
        return self._complete(picture) or (self.failed(picture) and not self._options.retry_failed)

    def failed(self, picture: Path) -> bool:
        """Whether an earlier run ended for the picture with a failure."""
        files = [file for file in (self._rows, self._errors) if isinstance(file, RowFile)]
        return not self._complete(picture) and any(file.state(picture) is State.FAILED for file in files)

    def write(self, result: Result) -> Result:
        """Hand a result to every place that does not hold it yet.

        Returns:
            the result, or an error if a sidecar could not be written; the row and the other sidecars are.

        Raises:
            CapcliError: if the disk is full.
        """
        failures = []
        for sidecars in self._sidecars:
            try:
                sidecars.write(result)
            except SidecarError as error:
                failures.append(str(error))
            except OSError as error:
                place = sidecars.path_of(result.path)
                raise CapcliError(f"{place}: {system_reason(error)}; --resume goes on from there") from None
        written = Result(result.path, error="; ".join(failures)) if failures else result
        if self._errors is not None and written.error is not None:
            self._errors.write(written)
        if not isinstance(self._rows, RowFile) or self._rows.state(result.path) is None:
            self._rows.write(result)
        return written

    @property
    def kept_sidecars(self) -> int:
        """How many sidecars held another caption already and were left as they were."""
        return sum(sidecars.kept for sidecars in self._sidecars)

    def _complete(self, picture: Path) -> bool:
        """Whether every place that keeps captions has those of the picture."""
        state = self._rows.state(picture) if isinstance(self._rows, RowFile) else None
        if isinstance(self._rows, RowFile) and state not in (State.CAPTIONED, State.UNCERTAIN):
            return False
        if not self._sidecars:
            return state is not None
        return all(
            # An uncertain caption has no sidecar of a kind that cannot say so.
            (state is State.UNCERTAIN and sidecars.kind != "json") or sidecars.state(picture) is State.CAPTIONED
            for sidecars in self._sidecars
        )

    def __enter__(self) -> Outputs:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, at)

    def _file(self, path: Path, form: Format) -> RowFile:
        if path.suffix.lower() in EXTENSIONS:
            raise UsageError(f"{path} has the name of a picture, and captions would take its place; name another file")
        return RowFile(path, form, resume=self._options.resumes, overwrite=self._options.overwrite)

    def _refuse_sidecars(self, pictures: Sequence[Path]) -> None:
        held = {
            picture: sidecars.path_of(picture)
            for sidecars in reversed(self._sidecars)
            for picture in pictures
            if sidecars.state(picture) is State.CAPTIONED
        }
        if held:
            raise UsageError(
                f"{len(held)} of {len(pictures)} pictures have captions in their sidecars already, such as "
                f"{next(iter(held.values()))}; --resume skips these pictures, --overwrite replaces the captions"
            )


def _records(options: OutputOptions, keywords: Mapping[str, object], rows: int | None) -> Iterator[OriginRecord]:
    """The records of a run's outputs; `rows` is how many pictures its file has rows of, None where there is no file."""
    words = {"with_words": options.with_words, **keywords}
    how = {"resumes": options.resumes, "anyway": options.resume_anyway}
    if options.output is not None and rows is not None:
        yield OriginRecord.of_file(options.output, words, holds=rows > 0, **how)
    if options.sidecar_dir is not None:
        how["overwrite"] = options.overwrite
        for kind in dict.fromkeys(options.sidecar):
            yield OriginRecord.of_folder(options.sidecar_dir, kind, words, **how)


def _is_device(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
