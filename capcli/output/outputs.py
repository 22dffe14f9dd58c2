"""Everywhere that the results of one run go."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from capcli.errors import CapcliError, UsageError
from capcli.output import Result, State
from capcli.output.format import Format
from capcli.output.json import JsonLines
from capcli.output.options import FORMATS, OutputOptions
from capcli.output.rows import RowFile, RowStream
from capcli.output.sidecar import SidecarError, Sidecars
from capcli.output.text import Sentences
from capcli.pictures.find import EXTENSIONS


class Outputs:
    """Rows, sidecars and the list of errors, fed together; a context manager.

    Args:
        options: where to.
        stdout: takes the rows where no file does.
        base: folder that holds all pictures, for the structure of sidecars.
        alone: one picture only: on stdout as text its sentence stands without the path.

    Raises:
        UsageError: if a file exists and neither resume nor overwrite is asked for, or cannot be used.
    """

    def __init__(self, options: OutputOptions, stdout: BinaryIO, base: Path, *, alone: bool = False) -> None:
        self._options = options
        self._sidecars: Sidecars | None = None
        self._errors: RowFile | None = None
        form = FORMATS[options.row_format]()
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
            if options.sidecar is not None:
                self._sidecars = Sidecars(options.sidecar, options.sidecar_dir, base, overwrite=options.overwrite)
            self._stack = stack.pop_all()

    def todo(self, pictures: Sequence[Path]) -> list[Path]:
        """Those of the pictures that are to be captioned; what is held of them is dropped.

        Raises:
            UsageError: if sidecars hold captions already and nothing says what to do with them.
        """
        if not self._options.resumes:
            if self._sidecars and not self._options.overwrite:
                self._refuse_sidecars(self._sidecars, pictures)
            return list(pictures)
        todo = [picture for picture in pictures if not self.settled(picture)]
        again = {picture for picture in todo if self.failed(picture)}
        for file in (self._rows, self._errors):
            if isinstance(file, RowFile):
                file.forget(again)
        return todo

    def settled(self, picture: Path) -> bool:
        """Whether a resumed run has nothing to do for a picture."""
        if not self._options.resumes:
            return False
        if self.failed(picture):
            return not self._options.retry_failed
        keepers = [sink for sink in (self._rows, self._sidecars) if isinstance(sink, RowFile | Sidecars)]
        return bool(keepers) and all(keeper.state(picture) is State.CAPTIONED for keeper in keepers)

    def failed(self, picture: Path) -> bool:
        """Whether an earlier run settled the picture as a failure."""
        files = [file for file in (self._rows, self._errors) if isinstance(file, RowFile)]
        return any(file.state(picture) is State.FAILED for file in files)

    def write(self, result: Result) -> Result:
        """Hand a result to every place that does not hold it yet.

        Returns:
            the result, as an error if the picture's sidecar could not be written.

        Raises:
            CapcliError: if the disk is full.
        """
        if self._sidecars and (self._options.overwrite or self._sidecars.state(result.path) is None):
            try:
                self._sidecars.write(result)
            except SidecarError as error:
                result = Result(result.path, error=str(error))
            except OSError as error:
                told = (error.strerror or str(error)).lower()
                raise CapcliError(
                    f"{self._sidecars.path_of(result.path)}: {told}; --resume goes on from there"
                ) from None
        if self._errors and result.error is not None:
            self._errors.write(result)
        if not isinstance(self._rows, RowFile) or self._rows.state(result.path) is None:
            self._rows.write(result)
        return result

    def __enter__(self) -> Outputs:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, at)

    def _file(self, path: Path, form: Format) -> RowFile:
        if path.suffix.lower() in EXTENSIONS:
            raise UsageError(f"{path} has the name of a picture, and captions would take its place; name another file")
        return RowFile(path, form, resume=self._options.resumes, overwrite=self._options.overwrite)

    def _refuse_sidecars(self, sidecars: Sidecars, pictures: Sequence[Path]) -> None:
        held = [picture for picture in pictures if sidecars.state(picture) is State.CAPTIONED]
        if held:
            raise UsageError(
                f"{len(held)} of {len(pictures)} pictures have captions in their sidecars already, such as "
                f"{sidecars.path_of(held[0])}; --resume skips these pictures, --overwrite replaces the captions"
            )


def _is_device(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
