"""`capcli eval`: how good captions are, and how sure that is."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from capcli.batch import Tally, resumed
from capcli.cli.caption import run
from capcli.cli.interrupt import finishing
from capcli.cli.options import Group, takes
from capcli.decoding.options import DecodingOptions
from capcli.errors import CapcliError, UsageError
from capcli.evaluation.options import ReportOptions, ScoringOptions, SourceOptions
from capcli.model.options import ModelOptions
from capcli.output import Result, Writer
from capcli.output.atomic import write_atomic
from capcli.output.options import OutputOptions
from capcli.output.text import escape

if TYPE_CHECKING:
    from capcli.evaluation.predictions import Prediction
    from capcli.evaluation.references import References

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
        typer.Argument(metavar="DATASET", help="Flickr8k folder, COCO or Karpathy JSON, or CSV/JSONL, to caption."),
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

    from capcli.evaluation.references import dataset_references, read_references, read_training_captions

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
    if sources.predictions:
        from capcli.evaluation.predictions import read_predictions

        assert sources.references is not None, "SourceOptions sees to that"
        references = read_references(sources.references, sources.split)
        predictions = read_predictions(sources.predictions)
        how["system"] = sources.predictions.name
    else:
        assert dataset is not None, "_check sees to that"
        held_out = sources.split == "held-out"
        references = dataset_references(dataset, "all" if held_out else sources.split, missing_ok=sources.allow_missing)
        if held_out:
            references = references.held_out(_hold_out(ModelOptions(**place)))
        predictions, how["run"] = _captioned(references, sources, ModelOptions(**place), decoding)
        how["system"] = how["run"]["model"]["name"]
        failed = sum(prediction.error is not None for prediction in predictions)
        if failed and not sources.allow_missing:
            told = f"{failed:,} of {len(predictions):,} images could not be captioned, so nothing is scored"
            raise CapcliError(f"{told}; --allow-missing scores the rest")
    report = scored(references, predictions, figures, training=training, **how)

    _tell(report.notes)
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


def _hold_out(given: ModelOptions) -> float:
    from capcli.model.checkpoint import Checkpoint
    from capcli.model.shipped import find_model

    return float(Checkpoint.load(find_model(given.model)).recipe.get("data", {}).get("hold_out", 0.0))


class _Kept:
    """Takes results, to score them and to write them where the user keeps them."""

    def __init__(self, outputs: Writer | None) -> None:
        self._outputs = outputs
        self.rows: list[dict[str, Any]] = []

    def write(self, result: Result) -> Result:
        self.rows.append(result.row())
        return self._outputs.write(result) if self._outputs else result


def _captioned(
    references: References, source: SourceOptions, given: ModelOptions, decoding: dict[str, Any]
) -> tuple[list[Prediction], dict[str, Any]]:
    """Captions the images, those that --predictions-out holds excepted.

    Returns:
        a prediction for every image, and what made them.
    """
    from capcli.evaluation.predictions import Prediction, read_predictions
    from capcli.evaluation.provenance import file_hash
    from capcli.evaluation.records import Record
    from capcli.model.shipped import find_model
    from capcli.output.outputs import Outputs

    pictures = [item.image for item in references.items if item.image is not None]
    file = find_model(given.model)
    held: list[Prediction] = []
    tally = Tally()
    with ExitStack() as stack:
        outputs = None
        todo = pictures
        if source.predictions_out:
            to = OutputOptions(
                output=source.predictions_out, format="jsonl", retry_failed=source.resume, overwrite=source.overwrite
            )
            outputs = stack.enter_context(Outputs(to, sys.stdout.buffer, Path()))
            todo = outputs.todo(pictures)
            if settled := set(pictures) - set(todo):
                rows = read_predictions(source.predictions_out)
                held = [row for row in rows if Path(row.names[0]) in settled]
                _refuse_others(held, file.stem, source.predictions_out)
        tally.skipped = len(pictures) - len(todo)
        kept = _Kept(outputs)

        from capcli.pictures.stream import ReadingPool

        # The processes that read pictures load while torch does.
        pool = stack.enter_context(ReadingPool())
        from capcli.captioner import Captioner

        captioner = Captioner.load(given.model, given.device)
        options = captioner.options.replace(**decoding)
        captioner.check(options)
        with finishing() as interrupt:
            paths, mates = resumed(todo, pictures, given.batch_size)
            run(
                captioner,
                paths,
                kept,
                pool,
                tally,
                options=options,
                batch_size=given.batch_size,
                mates=mates,
                total=len(mates) + len(todo),
                interrupt=interrupt,
            )
    typer.echo(f"capcli: {'interrupted: ' if interrupt.is_set() else ''}{tally}", err=True)
    if interrupt.is_set():
        raise typer.Exit(interrupt.exit_code)
    made = [Prediction.of(Record(row["path"], row)) for row in kept.rows]
    done = tally.captioned + tally.failed
    return [*held, *made], {
        "model": {"name": captioner.name, "sha256": file_hash(file)},
        "decoding": dataclasses.asdict(options),
        "device": str(captioner.device),
        "batch_size": given.batch_size,
        "images_per_second": round(done / tally.seconds, 2) if done else None,
    }


def _refuse_others(held: Sequence[Prediction], model: str, path: Path) -> None:
    other = next((row.model for row in held if row.model not in (None, model)), None)
    if other is not None:
        raise UsageError(f"{path} holds captions of the model {other}, not of {model}; name another file")


def _check(
    dataset: Path | None, source: SourceOptions, scoring: ScoringOptions, reports: ReportOptions, model: list[str]
) -> None:
    """Raises UsageError for options of what this run does not do."""
    if dataset is None and not source.made:
        raise UsageError("name a DATASET to caption, or --predictions FILE and --references FILE")
    if not source.made:
        return
    named = "--predictions" if source.predictions else "--compare"
    if dataset is not None:
        raise UsageError(f"{named} scores captions that are there; name their references by --references, no DATASET")
    if model:
        raise UsageError(f"--{model[0].replace('_', '-')} is for captioning a DATASET, and {named} has its captions")
    if source.compare:
        unused = [name for name in ("human", "training", "spice") if getattr(scoring, name)]
        unused += [name for name in ("per_image", "html") if getattr(reports, name)]
        if unused:
            raise UsageError(f"--{unused[0].replace('_', '-')} is for one set of captions; leave it or --compare out")


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
    comparison = compare(references, a, b, scoring, **how)
    _tell(comparison.notes)
    print_comparison(comparison)
    if to.output:
        _write(to.output, json_report(comparison.to_json()))


def _write(path: Path, content: bytes) -> None:
    try:
        write_atomic(path, content)
    except OSError as error:
        raise CapcliError(f"{path}: {(error.strerror or str(error)).lower()}; the report is not written") from None


def _tell(notes: Sequence[str]) -> None:
    for note in notes:
        typer.echo(f"capcli: {escape(note)}", err=True)
