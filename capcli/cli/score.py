"""`capcli score`: how good captions are that are there already, whatever made them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from capcli.cli.messages import see_help
from capcli.cli.options import Group, path, takes
from capcli.cli.progress import counting
from capcli.cli.reports import Overwrite, PerhapsReferences, list_settings, publish, publish_people
from capcli.errors import UsageError
from capcli.evaluation.options import ReferenceOptions, ReportOptions, ScoringOptions, check_reports
from capcli.options import flag_of


@takes(
    against=Group(ReferenceOptions, "References", common=("split",)),
    scoring=Group(ScoringOptions, "Figures"),
    reports=Group(ReportOptions, "Reports", common=("output", "html")),
)
def score(
    predictions: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="CAPTIONS",
            parser=path,
            help="Rows of capcli in any format, COCO's list of results, or a table; with --ratings several, or none.",
        ),
    ] = None,
    references: PerhapsReferences = None,
    ratings: Annotated[
        Path | None,
        typer.Option(
            parser=path, metavar="FILE", help="What people said of captions in `capcli review --rate`, in figures."
        ),
    ] = None,
    overwrite: Overwrite = False,
    *,
    against: dict[str, Any],
    scoring: dict[str, Any],
    reports: dict[str, Any],
) -> None:
    """Score CAPTIONS in a file, of capcli or of anything else, as the COCO toolkit does.

    Where captions and references do not fit together, nothing is scored, and the exit code is 2.

    With --ratings it says what people think of captions: means, preferences, agreement, and with --references how well
    each metric goes along with it. CAPTIONS then say which judgements still hold.
    """
    files = predictions or []
    chosen, figures, to = ReferenceOptions(**against), ScoringOptions(**scoring), ReportOptions(**reports)
    if ratings is not None:
        _score_people(ratings, files, references, chosen, figures, to, overwrite=overwrite)
        return
    if not files:
        raise UsageError(f"Missing argument 'CAPTIONS'; {see_help('capcli score')}")
    if references is None:
        raise UsageError(f"Missing option '--references'; {see_help('capcli score')}")
    if len(files) > 1:
        raise UsageError(f"one file of captions is scored at a time, not {len(files)}; capcli compare takes two")
    _score(files[0], references, chosen, figures, to, overwrite=overwrite)


def _score(
    predictions: Path,
    references: Path,
    chosen: ReferenceOptions,
    figures: ScoringOptions,
    to: ReportOptions,
    *,
    overwrite: bool,
) -> None:
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


def _score_people(
    ratings: Path,
    files: list[Path],
    references: Path | None,
    chosen: ReferenceOptions,
    figures: ScoringOptions,
    to: ReportOptions,
    *,
    overwrite: bool,
) -> None:
    for option in ("human", "training", "spice"):
        if getattr(figures, option):
            raise UsageError(f"{flag_of(option)} does not go with --ratings")
    check_reports(to.named(), (ratings, *files, references), replace=overwrite)

    from capcli.evaluation.people_report import report_people
    from capcli.evaluation.references import read_references
    from capcli.evaluation.systems import read_systems
    from capcli.ratings.record import read_ratings

    held, notes = read_ratings(ratings)
    asked = {"ratings": ratings, "predictions": tuple(files) or None, "references": references}
    with counting() as progress:
        report = report_people(
            held,
            figures,
            source=ratings,
            systems=read_systems(files, need_pictures=False) if files else None,
            references=read_references(references, chosen.split) if references else None,
            allow_missing=chosen.allow_missing,
            notes=notes,
            settings=list_settings({**asked, **dataclasses.asdict(chosen), **dataclasses.asdict(figures)}),
            progress=progress,
        )
    publish_people(report, to)
