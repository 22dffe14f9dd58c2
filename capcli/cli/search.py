"""`capcli search`: pictures of a library, found by what is in them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from capcli.cli.messages import print_json, tell
from capcli.cli.options import Group, path, takes
from capcli.cli.paths import check_form, print_paths
from capcli.errors import UnreadableImage, UsageError
from capcli.library.options import SearchOptions
from capcli.model.options import ModelOptions


@takes(
    options=Group(SearchOptions, "Which pictures", common=("like", "not_", "top")),
    place=Group(ModelOptions, "Model", common=("model",), without=("lm", "batch_size")),
)
def search(
    context: typer.Context,
    texts: Annotated[
        list[str], typer.Argument(metavar="[QUERY] LIBRARY", help="What to find, and the library to look in.")
    ],
    files: Annotated[bool, typer.Option("--files", "-f", help="Print paths alone, a line each.")] = False,
    null: Annotated[
        bool, typer.Option("--null", "-0", help="Print paths alone, each with a NUL byte after it.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON in place of the table.")] = False,
    *,
    options: dict[str, Any],
    place: dict[str, Any],
) -> None:
    """Find pictures by a sentence, or by another picture: the best first, with scores.

    Score says how well the pixels fit, words how well the caption does. Where nothing fits, nothing is printed, and the
    exit code is 1.
    """
    wanted, given = SearchOptions(**options), ModelOptions(**place)
    check_form(files=files, null=null, as_json=as_json)
    *query, library = texts
    from capcli.runs.finding import find_in_library

    try:
        found = find_in_library(path(library), " ".join(query) or None, wanted, given, load=context.obj)
    except UnreadableImage as error:  # that of --like; exit code 1 says that nothing was found
        raise UsageError(str(error)) from None
    for note in found.notes:
        tell(note)
    if as_json:
        print_json([hit.to_json() for hit in found.hits])
    elif files or null:
        print_paths((hit.path for hit in found.hits), null=null)
    elif found.hits:
        from capcli.output.table import print_table

        rows = [
            (_number(hit.score, 3), _number(hit.words, 1), str(_near(hit.path)), hit.caption or "")
            for hit in found.hits
        ]
        print_table("", ("score", "words", "picture", "caption"), rows, numbers=("score", "words"))
    if not found.hits:
        tell("nothing found")
        raise typer.Exit(1)


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _near(file: Path) -> Path:
    """The path of a file as seen from the current folder, where it is below it."""
    try:
        return file.relative_to(Path.cwd())
    except (ValueError, OSError):
        return file
