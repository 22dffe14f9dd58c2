"""`capcli duplicates`: pictures that a library has more than once."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from capcli.cli.library import Library
from capcli.cli.messages import inform, print_json, tell
from capcli.cli.options import Group, takes
from capcli.cli.paths import check_form, print_paths
from capcli.library.options import DuplicateOptions
from capcli.words.counting import count_of


@takes(options=Group(DuplicateOptions, "Which pictures"))
def duplicates(
    library: Library,
    files: Annotated[bool, typer.Option("--files", "-f", help="Print the paths of all but those to keep.")] = False,
    null: Annotated[bool, typer.Option("--null", "-0", help="The same, each with a NUL byte after it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON in place of the table.")] = False,
    *,
    options: dict[str, Any],
) -> None:
    """Group pictures that are equal, nearly equal or of one burst, and say which to keep. It changes no file."""
    wanted = DuplicateOptions(**options)
    check_form(files=files, null=null, as_json=as_json)
    from capcli.library.duplicates import find_duplicates

    found = find_duplicates(library, wanted)
    groups = found.groups
    if as_json:
        print_json([group.to_json() for group in groups])
    elif files or null:
        print_paths((path for group in groups for path in group.others), null=null)
    elif groups:
        from capcli.output.table import print_table

        rows = []
        for group in groups:
            rows.append(("keep", str(group.keep)))
            rows += [("same pixels" if path in group.same else "alike", str(path)) for path in group.others]
        print_table("", ("", "picture"), rows)
    others = sum(len(group.others) for group in groups)
    inform(f"{count_of(len(groups), 'group')}, {count_of(others, 'picture')} beside those to keep")
    if found.outdated:
        tell(
            f"left out {count_of(found.outdated, 'picture', 'that is', 'that are')} gone or changed since; "
            f"`capcli caption PICTURES -o {library} --resume` looks again"
        )
