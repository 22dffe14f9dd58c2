"""`capcli faithfulness`: do the heatmaps tell the truth?"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from capcli.cli.console import Console, open_session
from capcli.cli.options import Group, path, takes
from capcli.cli.progress import counting
from capcli.decoding.options import DecodingKeywords, DecodingOptions
from capcli.errors import CapcliError, UsageError, system_reason
from capcli.evaluation.options import FaithfulnessOptions
from capcli.model.options import ModelOptions

if TYPE_CHECKING:
    from capcli.arrays import UInt8Array
    from capcli.evaluation.faithfulness import Check
    from capcli.evaluation.references import References
    from capcli.runs.session import Session

_FIGURES, _CURVES = "faithfulness.json", "faithfulness.svg"


@takes(
    measuring=Group(FaithfulnessOptions, "Measuring", common=("output", "method", "split", "pictures", "overwrite")),
    # It takes one picture at a time, and its best caption.
    decoding=Group(DecodingOptions, "Choice of words", without=("num_captions",)),
    place=Group(ModelOptions, "Model", common=("model",), without=("batch_size",)),
)
def faithfulness(
    context: typer.Context,
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", parser=path, help="A data set, for its pictures.")],
    *,
    measuring: dict[str, Any],
    decoding: DecodingKeywords,
    place: dict[str, Any],
) -> None:
    """Measure on a DATASET's pictures whether the heatmaps of `capcli attend` tell the truth.

    Covering what a map says that a word comes from must make the word less likely than covering anything else.
    """
    wish, model = FaithfulnessOptions(**measuring), ModelOptions(**place)
    files = _plan_files(wish.output, wish.overwrite)

    from capcli.evaluation.references import dataset_references

    references = dataset_references(dataset, wish.split, default="dev")
    pictures = _draw_lots([item.image for item in references.items if item.image], wish.pictures)

    from capcli.evaluation.faithfulness import check
    from capcli.evaluation.table import print_check

    failed: list[Path] = []
    with open_session(context, model, decoding, Console()) as session, counting() as progress:
        captioner, arrays = session.captioner, _read(session, pictures, failed)
        first = list(islice(arrays, 1))
        if not first:
            raise CapcliError("no picture could be read")
        found = check(
            captioner,
            chain(first, arrays),
            methods=(wish.method,) if wish.method else None,
            options=session.options,
            progress=lambda done: progress(done, len(pictures)),
        )
    # Before anything is printed, which fails where a reader of the output went away.
    for file, content in zip(files, _reports(found, references, session, failed), strict=False):
        _write(file, content)
    print_check(found, f"{captioner.name} on {_titled(references)}")
    if failed:
        raise typer.Exit(1)


def _reports(found: Check, references: References, session: Session, failed: Sequence[Path]) -> Iterator[bytes]:
    """The figures, with all it takes to repeat them, and the curves."""
    from capcli.evaluation.faithfulness import curves
    from capcli.evaluation.provenance import machine, model_files, versions
    from capcli.files.json import dumps

    report = {
        **found.to_json(),
        "dataset": str(references.source),
        "split": references.split,
        **model_files(session.model),
        "decoding": dataclasses.asdict(session.options),
        "unreadable": [str(file) for file in failed],
        "versions": versions("capcli", "torch", "torchvision", "numpy", "pillow"),
        "machine": machine(),
    }
    yield dumps(report, indent=2) + b"\n"
    yield curves(found)


def _plan_files(folder: Path | None, overwrite: bool) -> list[Path]:
    if folder is None:
        return []
    from capcli.heatmap.files import check_folder

    check_folder(folder)
    files = [folder / _FIGURES, folder / _CURVES]
    there = [file for file in files if file.exists()]
    if there and not overwrite:
        raise UsageError(f"{there[0]} is there already; --overwrite replaces it")
    return files


def _draw_lots(pictures: Sequence[Path], count: int) -> list[Path]:
    """That many of the pictures, always the same, in their own order; all for 0."""
    if not 0 < count < len(pictures):
        return list(pictures)
    import numpy as np

    return [pictures[place] for place in sorted(np.random.default_rng(0).permutation(len(pictures))[:count])]


def _read(session: Session, pictures: Sequence[Path], failed: list[Path]) -> Iterator[UInt8Array]:
    for reading in session.read(pictures):
        if reading.array is not None:
            yield reading.array
        elif reading.error is not None:
            session.observer.warn(str(reading.error))
            failed.append(reading.path)


def _titled(references: References) -> str:
    return f"{references.name}, {references.split}" if references.split else references.name


def _write(path: Path, content: bytes) -> None:
    from capcli.files.atomic import write_atomic

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, content)
    except OSError as error:
        raise CapcliError(f"{path}: {system_reason(error)}; the figures are not written") from None
