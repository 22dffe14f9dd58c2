"""Where results go: one definition for the command line and the API."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from capcli.errors import UsageError
from capcli.files.database import refuse_database
from capcli.options import check, option
from capcli.output.formats.registry import ENDINGS, FORMATS

KINDS = ("txt", "json", "xmp")
"""Kinds of sidecars."""

LIBRARY = "library"
"""The format that is no file of rows, but a database."""

PARQUET = "parquet"
"""The format that is a folder."""

FORMS = (*FORMATS, PARQUET, LIBRARY)
"""Everything that rows of pictures can be kept in."""

FILM_FORMATS = ("vtt", "srt", "description")
"""The formats that films alone are written in."""

_ENDINGS = {
    **ENDINGS,
    ".parquet": PARQUET,
    ".vtt": "vtt",
    ".srt": "srt",
    ".db": LIBRARY,
    ".sqlite": LIBRARY,
    ".sqlite3": LIBRARY,
}

PART_ROWS = 10_000
"""Rows of each file in a folder of Parquet where nothing else is asked for."""


def part_rows_option(shown: str = f"{PART_ROWS:,}") -> int | None:
    """How large the parts of a table are; `shown` is what the help says of the default."""
    return option(None, "Rows of each Parquet file.", least=1, shown=shown)


@dataclass(frozen=True)
class OutputOptions:
    """Where and how results are written.

    Raises:
        UsageError: for a value of another type, an unknown format or kind of sidecar, and for options that contradict
            each other.
    """

    output: Path | None = option(None, "File to write instead of stdout; never half a row.", flag="-o", metavar="FILE")
    format: str | None = option(
        None,
        "How rows look; by default what FILE's ending says, else text.",
        choices=(*FORMS, *FILM_FORMATS),
        metavar="FORMAT",
    )
    sidecar: tuple[str, ...] = option(
        (),
        "Also write a file for each picture, beside it; may be repeated. xmp merges into the file that is there.",
        choices=KINDS,
        metavar="KIND",
    )
    sidecar_dir: Path | None = option(
        None, "Write sidecars here, with the folders below the deepest one that holds all PATHs.", metavar="DIR"
    )
    errors: Path | None = option(None, "Also write failed pictures and reasons here, as JSON lines.", metavar="FILE")
    resume: bool = option(False, "Skip pictures that the output holds, and go on with it.")
    resume_anyway: bool = option(False, "Resume even if another model or other options made the output.")
    overwrite: bool = option(False, "Begin the output anew, and replace captions in sidecars.")
    retry_failed: bool = option(False, "Resume, and try the pictures again that failed before.")
    with_words: bool = option(
        False, "Give the log-probability of every word, and its sentinel if any (not as text or tsv)."
    )

    part_rows: int | None = part_rows_option(f"{PART_ROWS:,}; with --on ray 256")

    def __post_init__(self) -> None:
        check(self)
        if self.overwrite and self.resumes:
            asked = next(name for name in ("resume", "retry_failed", "resume_anyway") if getattr(self, name))
            raise UsageError(f"--overwrite and --{asked.replace('_', '-')} contradict each other")
        if self.resumes and not (self.output or self.sidecar):
            raise UsageError("--resume needs -o FILE or --sidecar, where the captions so far are")
        if self.output and self.errors and os.path.realpath(self.output) == os.path.realpath(self.errors):
            raise UsageError(f"-o and --errors both name {self.output}; name two files")
        if self.row_format == LIBRARY and not self.output:
            raise UsageError("a library is a file; name it, such as -o photos.db")
        if self.row_format == PARQUET and not self.output:
            raise UsageError("Parquet is a folder of files; name it, such as -o captions.parquet")
        if "-" in map(str, (self.output, self.errors)):
            raise UsageError("-o and --errors take a file; without -o rows go to stdout")
        if self.sidecar_dir and not self.sidecar:
            raise UsageError(f"--sidecar-dir needs --sidecar {'|'.join(KINDS)}")
        if self.with_words and self.row_format in ("text", "tsv") and "json" not in self.sidecar:
            raise UsageError(f"--with-words does not fit into {self.row_format}; choose --format jsonl, json or csv")

    @property
    def resumes(self) -> bool:
        """Whether the output's earlier rows count."""
        return self.resume or self.retry_failed or self.resume_anyway

    @property
    def row_format(self) -> str:
        """Name of the format of rows."""
        return _format_of(self.output, self.format)


@dataclass(frozen=True)
class MergeOptions:
    """How the outputs of shards become one.

    Raises:
        UsageError: for an unknown format.
    """

    format: str | None = option(
        None, "The format of the shards, where OUT's ending does not say it.", choices=FORMS, metavar="FORMAT"
    )
    overwrite: bool = option(False, "Replace OUT if it is there.")
    part_rows: int | None = part_rows_option()

    def __post_init__(self) -> None:
        check(self)

    def row_format(self, output: Path) -> str:
        """Name of the format of the shards' rows, and of those of the merged output."""
        return _format_of(output, self.format)


@dataclass(frozen=True)
class ExportOptions:
    """Where the rows of a library go.

    Raises:
        UsageError: for an unknown format, and for that of a library.
    """

    output: Path | None = option(None, "File to write instead of stdout; never half a row.", flag="-o", metavar="FILE")
    format: str | None = option(
        None,
        "How rows look; by default what FILE's ending says, else text.",
        choices=tuple(form for form in FORMS if form != LIBRARY),
        metavar="FORMAT",
    )
    overwrite: bool = option(False, "Replace FILE if it is there.")
    part_rows: int | None = part_rows_option()

    def __post_init__(self) -> None:
        check(self)
        if _format_of(self.output, self.format) == LIBRARY:
            raise UsageError("a library is exported to another format, such as -o photos.csv")

    def outputs(self) -> OutputOptions:
        """The same as options of outputs, which a run has; raises UsageError for a file that is there already."""
        to = OutputOptions(output=self.output, format=self.format, overwrite=self.overwrite, part_rows=self.part_rows)
        if self.output is not None:
            refuse_database(self.output)
        if self.output is not None and not self.overwrite and _holds_rows(self.output):
            raise UsageError(f"{self.output} exists; --overwrite replaces it")
        return to


def check_part_rows(part_rows: int | None, row_format: str) -> None:
    """Raises UsageError where a size of parts is asked for, and the rows have no parts."""
    if part_rows is not None and row_format != PARQUET:
        raise UsageError(f"--part-rows is of Parquet, and rows are written as {row_format}; leave it out")


def _holds_rows(output: Path) -> bool:
    try:
        return any(output.glob("part-*")) if output.is_dir() else output.stat().st_size > 0
    except OSError:
        return False  # opening it says why


def _format_of(output: Path | None, asked: str | None) -> str:
    if asked is None and output is not None and output.is_dir():
        return PARQUET
    return asked or _ENDINGS.get(output.suffix.lower() if output else "", "text")
