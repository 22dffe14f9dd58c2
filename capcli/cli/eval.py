"""`capcli eval`: how good captions are, and how sure that is."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from capcli.cli.caption import run
from capcli.cli.interrupt import finishing
from capcli.cli.messages import tell
from capcli.cli.options import Group, takes
from capcli.cli.progress import counting
from capcli.decoding.options import DecodingOptions
from capcli.errors import CapcliError, UsageError, system_reason
from capcli.evaluation.options import ReportOptions, ScoringOptions, SourceOptions
from capcli.files.atomic import write_atomic
from capcli.model.options import ModelOptions
from capcli.options import flag_of

if TYPE_CHECKING:
    from capcli.captioner import Captioner
    from capcli.evaluation.dataset_captions import Captioned
    from capcli.evaluation.predictions import Prediction
    from capcli.evaluation.references import References
    from capcli.output import Writer
    from capcli.pictures.stream import ReadingPool
    from capcli.runs.tally import Tally

_PATHS = ("dataset", "predictions", "references", "training")


@takes(
    source=Group(SourceOptions, "Captions and references"),
    scoring=Group(ScoringOptions, "Figures"),
    reports=Group(ReportOptions, "Reports"),
    decoding=Group(DecodingOptions, "Choice of words"),
    place=Group(ModelOptions, "Model"),
)
def evaluate(
    dataset: Annotated[
        Path | None,
        typer.Argument(
            metavar="DATASET", help="Pictures with references to caption: a folder, Karpathy or COCO JSON, or a table."
        ),
    ] = None,
    *,
    source: dict[str, Any],
    scoring: dict[str, Any],
    reports: dict[str, Any],
    decoding: dict[str, Any],
    place: dict[str, Any],
) -> None:
    """Caption a DATASET and score the captions, or score those in a file, as the COCO toolkit does.

    An image that cannot be read costs a line and exit code 1. Where captions and references do not fit together,
    nothing is scored, and the exit code is 2.
    """
    sources, figures, to = SourceOptions(**source), ScoringOptions(**scoring), ReportOptions(**reports)
    _check(dataset, sources, figures, to, [*decoding, *place])
    to.check(sources, figures, dataset)

    from capcli.evaluation.references import read_references, read_training_captions

    settings = _settings({"dataset": dataset, **dataclasses.asdict(sources), **dataclasses.asdict(figures)})
    training = read_training_captions(figures.training) if figures.training else None
    how: dict[str, Any] = {"allow_missing": sources.allow_missing, "settings": settings}
    if sources.compare:
        assert sources.references is not None, "SourceOptions sees to that"
        _compare(read_references(sources.references, sources.split), sources.compare, figures, to, how)
        return

    from capcli.evaluation.report import evaluate as scored
    from capcli.evaluation.report import json_report, per_image_csv
    from capcli.evaluation.table import print_report

    failed = 0
    predictions: Sequence[Prediction]
    if sources.predictions:
        from capcli.evaluation.predictions import read_predictions

        assert sources.references is not None, "SourceOptions sees to that"
        references = read_references(sources.references, sources.split)
        predictions = read_predictions(sources.predictions)
        how["system"] = sources.predictions.name
    else:
        assert dataset is not None, "_check sees to that"
        from capcli.evaluation.retrieval import check_matcher, retrieval

        model = ModelOptions(**place)
        if figures.retrieval:
            check_matcher(model)
        references, captioned = _captioned(dataset, sources, figures, model, decoding)
        predictions, how["run"] = captioned.predictions, captioned.run
        how["system"] = captioned.run["model"]["name"]
        failed = sum(prediction.error is not None for prediction in predictions)
        if failed and not sources.allow_missing:
            told = f"{failed:,} of {len(predictions):,} images could not be captioned, so nothing is scored"
            raise CapcliError(f"{told}; --allow-missing scores the rest")
        if figures.retrieval:
            with counting() as progress:
                how["retrieval"] = retrieval(references, model, progress=progress)
    with counting() as progress:
        report = scored(references, predictions, figures, training=training, progress=progress, **how)

    _tell_all(report.notes)
    print_report(report)
    if to.output:
        _write(to.output, json_report(report.to_json()))
    if to.per_image:
        _write(to.per_image, per_image_csv(report))
    if to.html:
        from capcli.evaluation.page import page

        _write(to.html, page(report))
    if failed:
        raise typer.Exit(1)


def _captioned(
    dataset: Path, source: SourceOptions, scoring: ScoringOptions, model: ModelOptions, decoding: dict[str, Any]
) -> tuple[References, Captioned]:
    from capcli.evaluation.dataset_captions import caption_references
    from capcli.evaluation.references import dataset_references
    from capcli.evaluation.scores import check_people
    from capcli.modelfile.header import read_header
    from capcli.modelfile.shipped import find_model

    held_out = source.split == "held-out"
    references = dataset_references(dataset, "all" if held_out else source.split, missing_ok=source.allow_missing)
    if held_out:
        references = references.held_out(read_header(find_model(model.model)).held_out)
    if scoring.human:
        check_people([item.captions for item in references.items])
    captioned = caption_references(
        references,
        model,
        decoding,
        keep=source.predictions_out,
        resume=source.resume,
        overwrite=source.overwrite,
        run=run_with_bar,
    )
    _tell_all(captioned.notes)
    return references, captioned


def run_with_bar(
    captioner: Captioner,
    pictures: Iterable[Path | None],
    outputs: Writer,
    pool: ReadingPool,
    tally: Tally,
    *,
    named: bool = False,
    **how: Any,
) -> None:
    """Captions with a progress bar until Ctrl-C, and tells what became of the pictures, with `named` by which model."""
    with finishing() as interrupt:
        run(captioner, pictures, outputs, pool, tally, interrupt=interrupt, **how)
    who = f"{captioner.name}: " if named else ""
    tell(f"{who}{'interrupted: ' if interrupt.is_set() else ''}{tally}")
    if interrupt.is_set():
        raise typer.Exit(interrupt.exit_code)


def _check(
    dataset: Path | None, source: SourceOptions, scoring: ScoringOptions, reports: ReportOptions, model: list[str]
) -> None:
    """Raises UsageError for options of what this run does not do."""
    if dataset is None and not source.made:
        raise UsageError("name a DATASET to caption, or --predictions FILE and --references FILE")
    if not source.made:
        return
    named = "--predictions" if source.predictions else "--compare"
    if scoring.retrieval:
        raise UsageError(f"--retrieval is by a model, and {named} scores captions alone; name a DATASET instead")
    if dataset is not None:
        raise UsageError(f"{named} scores captions that are there; name their references by --references, no DATASET")
    if model:
        raise UsageError(f"{flag_of(model[0])} is for captioning a DATASET, and {named} has its captions")
    if source.compare:
        unused = [name for name in ("human", "training", "spice") if getattr(scoring, name)]
        unused += [name for name in ("per_image", "html") if getattr(reports, name)]
        if unused:
            raise UsageError(f"{flag_of(unused[0])} is for one set of captions; leave it or --compare out")


def _settings(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked for, as plain values; where the captions are kept is left out, as it does not change them."""
    left_out = ("predictions_out", "resume", "overwrite")
    return {
        name: [str(path) for path in value] if isinstance(value, tuple) else str(value) if name in _PATHS else value
        for name, value in chosen.items()
        if value is not None and value is not False and name not in left_out
    }


def _compare(
    references: References, files: tuple[Path, Path], scoring: ScoringOptions, to: ReportOptions, how: dict[str, Any]
) -> None:
    from capcli.evaluation.comparison import compare
    from capcli.evaluation.predictions import read_predictions
    from capcli.evaluation.report import json_report
    from capcli.evaluation.table import print_comparison

    a, b = map(read_predictions, files)
    with counting() as progress:
        comparison = compare(references, a, b, scoring, progress=progress, **how)
    _tell_all(comparison.notes)
    print_comparison(comparison)
    if to.output:
        _write(to.output, json_report(comparison.to_json()))


def _write(path: Path, content: bytes) -> None:
    try:
        write_atomic(path, content)
    except OSError as error:
        raise CapcliError(f"{path}: {system_reason(error)}; the report is not written") from None


def _tell_all(notes: Sequence[str]) -> None:
    for note in notes:
        tell(note)
