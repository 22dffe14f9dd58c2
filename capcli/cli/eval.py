"""`capcli eval`: how good a model's captions of a data set are, and how sure that is."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from capcli.cli.console import Console, open_session
from capcli.cli.options import Group, takes
from capcli.cli.progress import counting
from capcli.cli.reports import list_settings, publish, tell_all
from capcli.decoding.options import DecodingKeywords, DecodingOptions
from capcli.errors import CapcliError
from capcli.evaluation.options import HELD_OUT, DatasetOptions, ReportOptions, ScoringOptions, check_reports
from capcli.model.options import ModelOptions
from capcli.output.options import OutputOptions

if TYPE_CHECKING:
    from capcli.evaluation.dataset_captions import Captioned
    from capcli.evaluation.references import References
    from capcli.metrics.retrieval import Retrieval


@takes(
    source=Group(DatasetOptions, "Images and captions", common=("split", "overwrite")),
    scoring=Group(ScoringOptions, "Figures"),
    reports=Group(ReportOptions, "Reports", common=("output", "html")),
    decoding=Group(DecodingOptions, "Choice of words"),
    place=Group(ModelOptions, "Model", common=("model",)),
)
def evaluate(
    context: typer.Context,
    dataset: Annotated[
        Path,
        typer.Argument(
            metavar="DATASET", help="Pictures with references to caption: a folder, Karpathy or COCO JSON, or a table."
        ),
    ],
    *,
    source: dict[str, Any],
    scoring: dict[str, Any],
    reports: dict[str, Any],
    decoding: DecodingKeywords,
    place: dict[str, Any],
) -> None:
    """Caption a DATASET with a model and score the captions, as the COCO toolkit does.

    An image that cannot be read costs a line and exit code 1. Where captions and references do not fit together,
    nothing is scored, and the exit code is 2. `capcli score` scores captions that are there already.
    """
    chosen, figures, to = DatasetOptions(**source), ScoringOptions(**scoring), ReportOptions(**reports)
    model, read = ModelOptions(**place), (dataset, figures.training)
    check_reports(to.named(), read, replace=chosen.overwrite, kept=chosen.predictions_out, goes_on=chosen.resumes)

    from capcli.evaluation.references import read_training_captions
    from capcli.evaluation.report import evaluate as score_captions
    from capcli.evaluation.retrieval import check_matcher

    training = read_training_captions(figures.training) if figures.training else None
    if chosen.retrieval:
        check_matcher(model)
    references = _find_references(dataset, chosen, model)
    if figures.human:
        from capcli.evaluation.scores import check_people

        check_people([item.captions for item in references.items])
    captioned, retrieval = _caption(context, references, chosen, model, decoding)
    with counting() as progress:
        report = score_captions(
            references,
            captioned.predictions,
            figures,
            system=captioned.run["model"]["name"],
            allow_missing=chosen.allow_missing,
            training=training,
            settings=list_settings({"dataset": dataset, **dataclasses.asdict(chosen), **dataclasses.asdict(figures)}),
            run=captioned.run,
            retrieval=retrieval,
            progress=progress,
        )
    publish(report, to)
    if captioned.failed:
        raise typer.Exit(1)


def _caption(
    context: typer.Context,
    references: References,
    chosen: DatasetOptions,
    model: ModelOptions,
    decoding: DecodingKeywords,
) -> tuple[Captioned, Retrieval | None]:
    """Captions the images, and measures retrieval if that is asked for, by one model that is loaded once."""
    from capcli.evaluation.dataset_captions import caption_references
    from capcli.evaluation.retrieval import measure_retrieval

    console = Console()
    with open_session(context, model, decoding, console) as session:
        captioned = caption_references(references, session, keep=_keep(chosen), embed=chosen.retrieval)
        console.conclude(captioned.tally)
        tell_all(captioned.notes)
        if captioned.failed and not chosen.allow_missing:
            fault = f"{captioned.failed:,} of {len(captioned.predictions):,} images could not be captioned"
            raise CapcliError(f"{fault}, so nothing is scored; --allow-missing scores the rest")
        if not chosen.retrieval:
            return captioned, None
        with counting() as progress:
            return captioned, measure_retrieval(references, session, captioned.vectors, progress=progress)


def _keep(chosen: DatasetOptions) -> OutputOptions | None:
    """Where the captions are kept, if anywhere."""
    if chosen.predictions_out is None:
        return None
    return OutputOptions(
        output=chosen.predictions_out,
        format="jsonl",
        retry_failed=chosen.resumes,
        resume_anyway=chosen.resume_anyway,
        overwrite=chosen.overwrite,
    )


def _find_references(dataset: Path, source: DatasetOptions, model: ModelOptions) -> References:
    from capcli.evaluation.references import dataset_references
    from capcli.known import know_model

    held_out = source.split == HELD_OUT
    references = dataset_references(dataset, "all" if held_out else source.split, missing_ok=source.allow_missing)
    return references.held_out(know_model(model.model).held_out) if held_out else references
