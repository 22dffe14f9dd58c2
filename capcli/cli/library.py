"""`capcli library`: what is in a library, whether it is sound, and its rows in another format."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from capcli.cli.help import PlainCommand, PlainGroup
from capcli.cli.messages import inform, print_json, tell
from capcli.cli.options import Group, path, takes
from capcli.model.options import ModelOptions
from capcli.output.options import ExportOptions
from capcli.web.options import ReviewOptions
from capcli.words.counting import count_of

app = typer.Typer(
    cls=PlainGroup,
    help="Look into a library, check it, export it, take edits back, and index its vectors.",
    no_args_is_help=True,
)

Library = Annotated[
    Path, typer.Argument(metavar="LIBRARY", parser=path, help="A file that `capcli caption -o photos.db` made.")
]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON in place of the table.")]

_COUNTS = ("pictures", "captioned", "uncertain", "failed", "missing", "reviewed", "changes", "vectors")


@app.command(cls=PlainCommand)
def info(library: Library, as_json: _Json = False) -> None:
    """Show what a library holds: pictures, captions, failures, missing files, changes, models."""
    from capcli.library.contents import count_all

    account = count_all(library)
    if as_json:
        print_json(dataclasses.asdict(account))
        return
    from capcli.output.table import print_table

    rows = [(name, f"{getattr(account, name):,}") for name in _COUNTS]
    if account.taken:
        rows.append(("taken", " to ".join(account.taken)))
    rows += [
        ("model", f"{name} (SHA-256 {sha256[:12]}), {count_of(count, 'caption')}")
        for name, sha256, count in account.models
    ]
    rows.append(("size", f"{account.bytes / 1e6:,.1f} MB"))
    if index := account.index:
        state = "up to date" if index.unfit is None else f"not used: it {index.unfit}"
        vectors = "" if index.vectors is None else f"{count_of(index.vectors, 'vector')}, "
        rows.append(("index", f"{vectors}{index.bytes / 1e6:,.1f} MB, {state}"))
    print_table(str(library), ("", ""), rows)


@app.command(cls=PlainCommand)
def check(library: Library, as_json: _Json = False) -> None:
    """Check a library: pages, references, index of words, vectors, and the index of these.

    If something is broken, the exit code is 1.
    """
    from capcli.library.contents import count_all, find_faults

    faults = find_faults(library)
    if as_json:
        print_json({"library": str(library), "sound": not faults, "faults": faults})
    elif faults:
        from capcli.output.table import shown

        print(*map(shown, faults), sep="\n")
    else:
        typer.echo(f"sound: {count_of(count_all(library).pictures, 'picture')}")
    if faults:
        raise typer.Exit(1)


@app.command(cls=PlainCommand)
@takes(outputs=Group(ExportOptions, "Output", common=("output", "format", "overwrite")))
def export(library: Library, *, outputs: dict[str, Any]) -> None:
    """Write the rows of a library in any other format, to a file or to stdout."""
    from capcli.library.contents import has_keywords, read_results
    from capcli.output.outputs import Outputs

    to, count = ExportOptions(**outputs).outputs(), 0
    keywords = {"keywords": True} if has_keywords(library) else {}
    with Outputs(to, sys.stdout.buffer, Path(library.anchor), keywords=keywords, review=True) as sinks:
        for result in read_results(library):
            sinks.write(result)
            count += 1
        for kept in sinks.kept:
            kept.complete()
    if to.output:
        inform(f"exported {count_of(count, 'picture')} to {to.output}")


@app.command("import", cls=PlainCommand)
@takes(options=Group(ReviewOptions, "Review", common=("reviewer",), without=("port", "open")))
def take(
    library: Library,
    table: Annotated[
        Path, typer.Argument(metavar="TABLE", parser=path, help="What `capcli library export -o captions.csv` wrote.")
    ],
    *,
    options: dict[str, Any],
) -> None:
    """Take edited captions and statuses of an exported table back into its library.

    Rows that nobody edited change nothing. Where the library's caption was changed since the export, it stays, and a
    line on stderr has both texts; the exit code is then 1.
    """
    from capcli.library.contents import count_all
    from capcli.library.returning import take_back

    by = ReviewOptions(**options).name
    count_all(library)  # refuses what is no library before the table is read
    done = take_back(library, table, by)
    for line in done.refused:
        tell(line)
    rest = f", {count_of(done.absent, 'picture', 'has', 'have')} no row" if done.absent else ""
    inform(f"changed {done.changed:,}, left as they were {done.same:,}, refused {len(done.refused):,}{rest}")
    if done.refused:
        raise typer.Exit(1)


@app.command(cls=PlainCommand)
@takes(place=Group(ModelOptions, "Model", common=("model",), without=("lm", "batch_size", "device", "engine")))
def index(library: Library, *, place: dict[str, Any]) -> None:
    """Make the index by which a search of a large library compares the query with some vectors, or bring it up to date.

    It is a file beside the library. It may be deleted at any time: the library has all that is in it.
    """
    from capcli.cli.progress import counting
    from capcli.known import know_model
    from capcli.library.indexing import make_index
    from capcli.library.search import LARGE
    from capcli.library.vector_index import index_path

    with counting() as count:
        label = make_index(library, know_model(ModelOptions(**place).model).identity.sha256, count)
    path = index_path(library)
    inform(f"indexed {count_of(label.vectors, 'vector')} in {path} ({path.stat().st_size / 1e6:,.1f} MB)")
    if label.pictures <= LARGE:  # they begin with that of no picture
        inform(f"a search uses it when {library} has {LARGE:,} pictures; up to there it compares every vector")
