"""`capcli apply`: captions written into pictures, or beside them."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from capcli.cli.console import Console
from capcli.cli.options import Group, path, takes
from capcli.errors import UsageError
from capcli.metadata.options import ApplyOptions

if TYPE_CHECKING:
    from collections import Counter

    from capcli.metadata.journal import Journal
    from capcli.metadata.places import Outcome


@takes(
    chosen=Group(
        ApplyOptions, "Texts", common=("into", "to", "only_missing", "only_reviewed", "overwrite", "dry_run", "undo")
    ),
)  # fmt: skip
def apply(
    rows: Annotated[
        Path, typer.Argument(metavar="ROWS", parser=path, help="Rows of capcli in any format, a library, or a table.")
    ],
    *,
    chosen: dict[str, Any],
) -> None:
    """Write captions from ROWS as description and alt text into XMP files, copies of pictures, or pictures themselves.

    Pixels and all other metadata stay as they are, or the picture is not written and gets a line on stderr.
    """
    options, console = ApplyOptions(**chosen), Console()
    if options.undo:
        _undo(rows, console)
        return

    from capcli.files.names import escape
    from capcli.metadata.applying import apply_captions
    from capcli.metadata.context import Context
    from capcli.metadata.described import Described, read_described
    from capcli.metadata.exiftool import ExifTool
    from capcli.metadata.journal import Journal
    from capcli.metadata.places import InPictures, InSidecars
    from capcli.metadata.tags import Tags
    from capcli.pictures.options import common_folder

    def wrote(picture: Path, text: str) -> None:
        if options.dry_run:
            typer.echo(f"{escape(picture)}\t{' '.join(text.split())}")

    described = read_described(rows)
    base = common_folder([str(picture.path) for picture in described])
    if options.into == "copy" and options.to is not None and options.to.exists() and options.to.samefile(base):
        raise UsageError(f"--to {options.to} is where the pictures are; name another folder for copies")
    with ExitStack() as stack:
        reads = options.into != "sidecar" or options.only_missing or options.context is not None
        context = Context(options.context) if options.context is not None else None
        exiftool = stack.enter_context(ExifTool()) if reads else None
        sidecars = InSidecars(options, base, exiftool)
        changes = options.into == "original" and not options.dry_run
        journal = stack.enter_context(Journal(rows)) if changes else _known_journal(rows, stack)
        pictures = None
        if exiftool is not None and options.into != "sidecar":
            pictures = InPictures(options, base, exiftool, journal if changes else None, sidecars)
        place = pictures or sidecars

        def compose(picture: Described) -> str:
            if context is None or exiftool is None:
                return picture.caption
            tags = Tags(exiftool.read(picture.path))
            return context.text(picture.caption, picture.path, tags, place.former(picture.path, tags))

        tally = apply_captions(described, options, place, compose, observer=console, wrote=wrote, journal=journal)
    _conclude(tally, console, options, raw=pictures.raw if pictures else 0)


def _known_journal(rows: Path, stack: ExitStack) -> Journal | None:
    """The journal of earlier runs; None where there is none, or where another run has it or it is not ours to open."""
    from capcli.metadata.journal import Journal, path_of_journal

    if path_of_journal(rows).exists():
        with suppress(UsageError):
            return stack.enter_context(Journal(rows))
    return None


def _conclude(tally: Counter[Outcome], console: Console, options: ApplyOptions, raw: int) -> None:
    from capcli.metadata.places import Outcome

    summary = ", ".join(f"{outcome.value} {tally[outcome]:,}" for outcome in Outcome if tally[outcome])
    if raw and options.into != "sidecar":
        summary += f"; raw files are not changed, {raw:,} of them have sidecars"
    if options.into == "original" and not options.dry_run and tally[Outcome.WRITTEN]:
        summary += "; --undo puts the originals back"
    console.finish(f"{'dry run: ' if options.dry_run else ''}{summary or 'nothing to do'}")
    if tally[Outcome.FAILED]:
        raise typer.Exit(1)


def _undo(rows: Path, console: Console) -> None:
    from capcli.metadata.journal import Journal

    with Journal(rows) as journal:
        if not len(journal):
            raise UsageError(f"capcli has written into no original by {rows}, or has put all back")
        put_back = left = 0
        for picture, reason in journal.undo():
            if reason is None:
                put_back += 1
            else:
                left += 1
                console.warn(f"{picture}: {reason}; left as it is")
    console.inform(f"put back {put_back:,}, left as they are {left:,}")
    if left:
        raise typer.Exit(1)
