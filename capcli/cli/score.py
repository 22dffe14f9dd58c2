"""`capcli score`: how good captions are that are there already, whatever made them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from capcli.cli.options import Group, path, takes
from capcli.cli.progress import counting
from capcli.cli.reports import Overwrite, References, list_settings, publish
from capcli.evaluation.options import ReferenceOptions, ReportOptions, ScoringOptions, check_reports


@takes(
    against=Group(ReferenceOptions, "References", common=("split",)),
    scoring=Group(ScoringOptions, "Figures"),
    reports=Group(ReportOptions, "Reports", common=("output", "html")),
)
def score(
    predictions: Annotated[
        Path,
        typer.Argument(
            metavar="CAPTIONS",
            parser=path,
            help="Rows of capcli in any format, COCO's list of results, or a table.",
        ),
    ],
    references: References,
    overwrite: Overwrite = False,
    *,
    against: dict[str, Any],
    scoring: dict[str, Any],
    reports: dict[str, Any],
) -> None:
    """Score CAPTIONS in a file, of capcli or of anything else, as the COCO toolkit does.

    Where captions and references do not fit together, nothing is scored, and the exit code is 2.
    """
    chosen, figures, to = ReferenceOptions(**against), ScoringOptions(**scoring), ReportOptions(**reports)
    check_reports(to.named(), (predictions, references, figures.training), replace=overwrite)

    from capcli.evaluation.predictions import read_predictions
    from capcli.evaluation.references import read_references, read_training_captions
    from capcli.evaluation.report import evaluate

    asked = {"predictions": predictions, "references": references}
    training = read_training_captions(figures.training) if figures.training else None
    with counting() as progress:
        report = evaluate(
            read_references(references, chosen.split),
            read_predictions(predictions),
            figures,
            system=predictions.name,
            allow_missing=chosen.allow_missing,
            training=training,
            settings=list_settings({**asked, **dataclasses.asdict(chosen), **dataclasses.asdict(figures)}),
            progress=progress,
        )
    publish(report, to)
