"""Everywhere that the results of one run go."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import BinaryIO

from capcli.errors import CapcliError, UsageError, system_reason
from capcli.files.database import refuse_database
from capcli.output import Result, State
from capcli.output.formats.registry import FORMATS
from capcli.output.formats.text import Sentences
from capcli.output.kept import Kept
from capcli.output.options import FILM_FORMATS, LIBRARY, PARQUET, PART_ROWS, OutputOptions, check_part_rows
from capcli.output.resume_record import ResumeRecord
from capcli.output.rows import RowFile, RowStream
from capcli.output.shard import Shard
from capcli.output.sidecar import SidecarError, Sidecars, is_sidecar, refuse_held
from capcli.output.survey import Survey, look_by_folder
from capcli.pictures.find import Found
from capcli.pictures.kinds import refuse_pictures


class Outputs:
    """Rows, sidecars and the list of errors, fed together; a context manager.

    Args:
        options: where to.
        stdout: takes the rows where no file does.
        base: folder that holds all pictures, for the structure of sidecars.
        open_library: opens a library, where the options name one; takes its path, `resume` and `overwrite`.
        alone: one picture only: on stdout as text its sentence stands without the path.
        keywords: the options that make keywords, by their names; empty where results have none.
        review: whether results are rows of a library, with a status and a version.
        shard: which part of a run they are, where several share it.

    Attributes:
        kept: every place that a later run may go on with, the rows' first.
        rows: the file of rows that is one of them; None where there is none.
        notes: remarks for the user, one line each.
        rowless: pictures that the file of rows has none for: failures, where the format has no row for them.
        library: that results go to; None where they go elsewhere.
        records: of what made the captions, for the outputs that a later run can go on with. Sidecars beside the
            pictures have none: they hold captions by people and by other programs as well.

    Raises:
        UsageError: if a file exists and neither resume nor overwrite is asked for, or cannot be used; and for options
            of another format.
    """

    def __init__(
        self,
        options: OutputOptions,
        stdout: BinaryIO,
        base: Path,
        *,
        open_library: Callable[..., Kept] | None = None,
        alone: bool = False,
        keywords: Mapping[str, object] | None = None,
        review: bool = False,
        shard: Shard | None = None,
    ) -> None:
        if options.row_format in FILM_FORMATS:
            raise UsageError(f"{options.row_format} is a format of films; name one film alone")
        check_part_rows(options.part_rows, options.row_format)
        self._options = options
        self._stream: RowStream | None = None
        self._rows: Kept | None = None
        self._errors: Kept | None = None
        self.notes: list[str] = []
        self.rowless: set[Path] = set()
        columns = {"with_keywords": bool(keywords), "with_review": review}
        with ExitStack() as stack:
            if options.output is None or _is_device(options.output):
                if options.row_format not in FORMATS:
                    raise UsageError(
                        f"{options.output} is no file of its own, as {options.row_format} needs; "
                        "name a file, or choose another format"
                    )
                file = stdout if options.output is None else stack.enter_context(options.output.open("wb"))
                sentences = alone and options.output is None and options.row_format == "text"
                form = Sentences() if sentences else FORMATS[options.row_format](**columns)
                self._stream = stack.enter_context(RowStream(file, form))
            else:
                rows = _open(options.output, options.row_format, options, open_library, columns=columns)
                self._rows = stack.enter_context(rows)
            if options.errors is not None:
                self._errors = stack.enter_context(_open(options.errors, "jsonl", options))
            self.notes += [
                note for file in (self._rows, self._errors) if isinstance(file, RowFile) for note in file.notes
            ]
            self.library = self._rows if options.row_format == LIBRARY else None
            self.kept = [file for file in (self._rows, self._errors) if file is not None]
            self.rows = options.output if self._rows is not None else None
            self._sidecars = [
                Sidecars(kind, options.sidecar_dir, base, overwrite=options.overwrite)
                for kind in dict.fromkeys(options.sidecar)
            ]
            others = {**(keywords or {}), **({} if shard is None else {"shard": str(shard)})}
            self.records = list(_records(options, others, self._rows))
            self._stack = stack.pop_all()

    def survey(self, pictures: Iterable[Path]) -> Survey | None:
        """Looks at what the outputs hold of pictures; failures that are to be tried again are dropped.

        Returns:
            what is settled; None where nothing can be, so that there was no need to look.

        Raises:
            UsageError: if a picture is one of the outputs, or sidecars hold captions already and nothing says what to
                do with them.
        """
        # What is found in folders needs no look: by its name it is neither a sidecar nor anything else that is written.
        named = pictures.files() if isinstance(pictures, Found) else pictures
        places = [place for place in (self._options.output, self._options.errors) if place]
        for picture in named:
            if any(file.is_file(picture) for file in self.kept):
                raise UsageError(f"{picture} is to be captioned, and an output would take its place; name another file")
            if self._sidecars:
                places.append(picture)
        for sidecars in self._sidecars:
            sidecars.reserve(places)
        if not self._options.resumes:
            new = self._sidecars and not self._options.overwrite
            return refuse_held(self._sidecars, pictures) if new else None
        held = any(file.count for file in self.kept)
        if not (held or self._sidecars):
            return None
        again: list[Path] = []
        # A library knows pictures by absolute paths, and takes back moved ones.
        known = not held or self.library is not None

        def settled(folder: Path, names: Sequence[str]) -> Sequence[State | None]:
            nonlocal known
            known = known or any(any(file.states(folder, names)) for file in self.kept)
            states = self._together(folder, names)
            if self._rows is not None and len(self.kept) > 1:
                rows = self._rows.states(folder, names)
                self.rowless.update(
                    folder / name
                    for name, state, row in zip(names, states, rows, strict=True)
                    if row is None and self._settles(state)
                )
            if not self._options.retry_failed or State.FAILED not in states:
                return states
            again.extend(folder / name for name, state in zip(names, states, strict=True) if state is State.FAILED)
            return [None if state is State.FAILED else state for state in states]

        survey = look_by_folder(pictures, settled)
        if survey.total and not known and not self.notes:
            self.notes.append(
                f"{self._options.output or self._options.errors} has no row of these pictures; rows of relative paths "
                "are found again from the folder where they were written"
            )
        self.forget(again)
        return survey

    def forget(self, pictures: Iterable[Path]) -> None:
        """Drop the failures that are held of pictures which are about to be captioned again."""
        failed = [picture for picture in pictures if self.failed(picture)]
        for file in self.kept:
            file.forget([picture for picture in failed if file.state(picture) is State.FAILED])

    def settled(self, picture: Path) -> bool:
        """Whether a resumed run has nothing to do for a picture."""
        return self._options.resumes and self._settles(self._together(picture.parent, [picture.name])[0])

    def failed(self, picture: Path) -> bool:
        """Whether an earlier run ended for the picture with a failure."""
        return self._together(picture.parent, [picture.name])[0] is State.FAILED

    def write(self, result: Result) -> Result:
        """Hand a result to every place that does not hold it yet.

        The row comes first: where a person decided about its caption, sidecars get what the row has.

        Returns:
            the result, or an error if a sidecar could not be written; the row and the other sidecars are.

        Raises:
            CapcliError: if the disk is full.
        """
        if self._stream is not None:
            self._stream.write(result)
        elif self._rows is not None and self._rows.state(result.path) is None and not self._rows.write(result):
            self.rowless.add(result.path)
        failures = []
        for sidecars in self._sidecars if result.error is None else ():
            try:
                if (decided := self._rows.recall(result) if self._rows is not None else result) is not None:
                    sidecars.write(decided)
            except SidecarError as error:
                failures.append(str(error))
            except OSError as error:
                place = sidecars.path_of(result.path)
                raise CapcliError(f"{place}: {system_reason(error)}; --resume goes on from there") from None
        written = Result(result.path, error="; ".join(failures)) if failures else result
        if self._errors is not None and written.error is not None:
            self._errors.write(written)
        return written

    @property
    def describes(self) -> bool:
        """Whether results are to have what a library remembers beside captions."""
        return self._options.row_format == LIBRARY

    @property
    def kept_sidecars(self) -> int:
        """How many sidecars held another caption already and were left as they were."""
        return sum(sidecars.kept for sidecars in self._sidecars)

    def _settles(self, state: State | None) -> bool:
        """Whether a resumed run has nothing to do for a picture of which all places hold something together."""
        return state is not None and not (state is State.FAILED and self._options.retry_failed)

    def _together(self, folder: Path, names: Sequence[str]) -> Sequence[State | None]:
        """What all places hold together of pictures of a folder.

        Returns:
            for each name CAPTIONED or UNCERTAIN where every place that keeps captions has those of the picture; FAILED
            where an earlier run ended for it with a failure.
        """
        files = [file.states(folder, names) for file in self.kept]
        rows = files[0] if self._rows is not None else None
        found: Sequence[State | None]
        if self._sidecars:
            # A sidecar says no more than that there is a caption.
            found = _join_sidecars(self._sidecars, folder, names, rows or [State.CAPTIONED] * len(names))
        elif rows is None:
            found = [None] * len(names)
        elif len(files) == 1:
            return rows
        else:
            found = rows
        failed = [State.FAILED in states for states in zip(*files, strict=True)] if files else [False] * len(names)
        return [
            (State.FAILED if wrong else None) if state in (None, State.FAILED) else state
            for state, wrong in zip(found, failed, strict=True)
        ]

    def __enter__(self) -> Outputs:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, at)


def _join_sidecars(
    kinds: Sequence[Sidecars], folder: Path, names: Sequence[str], rows: Sequence[State | None]
) -> list[State | None]:
    """The states of rows of pictures of a folder, but None where a picture lacks a sidecar that it should have."""
    maybe = [(sidecars, sidecars.may_be_there(folder, names)) for sidecars in kinds]
    joined: list[State | None] = []
    for name, state in zip(names, rows, strict=True):
        whole = state is State.WITHHELD or (
            state in (State.CAPTIONED, State.UNCERTAIN)
            and all(
                # An uncertain caption has no sidecar of a kind that cannot say so.
                (state is State.UNCERTAIN and sidecars.kind != "json")
                or (name in there and sidecars.state(folder / name) is State.CAPTIONED)
                for sidecars, there in maybe
            )
        )
        joined.append(state if whole else None)
    return joined


def _open(
    path: Path,
    form: str,
    options: OutputOptions,
    open_library: Callable[..., Kept] | None = None,
    *,
    columns: Mapping[str, bool] = MappingProxyType({}),
) -> Kept:
    refuse_pictures(path)
    if form != LIBRARY:
        refuse_database(path)
    how = {"resume": options.resumes, "overwrite": options.overwrite}
    if form == PARQUET:
        from capcli.output.parquet import ParquetFolder

        return ParquetFolder(path, options.part_rows or PART_ROWS, **how)
    if form != LIBRARY:
        return RowFile(path, FORMATS[form](**columns), **how)
    if open_library is None:
        raise UsageError(f"{path}: a library takes the captions of `capcli caption` alone; choose another format")
    return open_library(path, **how)


def _records(options: OutputOptions, others: Mapping[str, object], rows: Kept | None) -> Iterator[ResumeRecord]:
    """The records of a run's outputs; `rows` is its file, None where there is none."""
    words = {"with_words": options.with_words, **others}
    how = {"resumes": options.resumes, "anyway": options.resume_anyway}
    if rows is not None:
        yield rows.record(words, **how)
    if options.sidecar_dir is not None:
        how["overwrite"] = options.overwrite
        for kind in dict.fromkeys(options.sidecar):
            yield ResumeRecord.of_folder(options.sidecar_dir, kind, words, partial(is_sidecar, kind=kind), **how)


def _is_device(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
