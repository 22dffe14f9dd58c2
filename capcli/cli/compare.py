"""`capcli compare`: are the captions of one file better than those of another, or is it chance?"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from capcli.cli.options import Group, path, takes
from capcli.cli.progress import counting
from capcli.cli.reports import Overwrite, References, list_settings, tell_all, write_report
from capcli.errors import UsageError
from capcli.evaluation.options import ComparingOptions, ReferenceOptions, check_reports


@takes(against=Group(ReferenceOptions, "References", common=("split",)), scoring=Group(ComparingOptions, "Figures"))
def compare(
    first: Annotated[Path, typer.Argument(metavar="A", parser=path, help="Captions, as `capcli score` takes them.")],
    second: Annotated[Path, typer.Argument(metavar="B", parser=path, help="Other captions of the same images.")],
    references: References,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            parser=path,
            help="Differences and all it takes to repeat them, as JSON.",
        ),
    ] = None,
    overwrite: Overwrite = False,
    *,
    against: dict[str, Any],
    scoring: dict[str, Any],
) -> None:
    """Compare the captions in two files: is B better than A, or is it chance?

    Differences have paired intervals and p-values. `capcli models compare` puts models side by side.
    """
    for file in (first, second):
        if file.suffix == ".safetensors":
            raise UsageError(f"{file} is a model, and compare takes captions: see `capcli models compare`")
    chosen, figures = ReferenceOptions(**against), ComparingOptions(**scoring)
    check_reports([("-o", output)] if output else [], (first, second, references), replace=overwrite)

    from capcli.evaluation.comparison import compare as compare_captions
    from capcli.evaluation.predictions import read_predictions
    from capcli.evaluation.references import read_references
    from capcli.evaluation.report import json_report
    from capcli.evaluation.table import print_comparison

    asked = {"compare": (first, second), "references": references}
    people = read_references(references, chosen.split)
    a, b = map(read_predictions, (first, second))
    with counting() as progress:
        comparison = compare_captions(
            people,
            a,
            b,
            figures,
            allow_missing=chosen.allow_missing,
            settings=list_settings({**asked, **dataclasses.asdict(chosen), **dataclasses.asdict(figures)}),
            progress=progress,
        )
    tell_all(comparison.notes)
    # Before anything is printed, which fails where a reader of the output went away.
    if output:
        write_report(output, json_report(comparison.to_json()))
    print_comparison(comparison)
