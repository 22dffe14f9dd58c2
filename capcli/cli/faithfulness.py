"""`capcli attend --check`: do the maps tell the truth?"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from capcli.attribution.methods import METHODS
from capcli.cli.messages import tell
from capcli.cli.progress import counting
from capcli.errors import CapcliError, UnreadableImage, UsageError, system_reason
from capcli.evaluation.options import CheckOptions
from capcli.heatmap.files import check_folder
from capcli.model.options import ModelOptions

if TYPE_CHECKING:
    import numpy as np

    from capcli.captioner import Captioner
    from capcli.evaluation.references import References

_PICTURES = 200
_FIGURES, _CURVES = "faithfulness.json", "faithfulness.svg"


def measure(
    dataset: Path,
    options: CheckOptions,
    model: ModelOptions,
    decoding: dict[str, Any],
    *,
    method: str | None,
    output: Path | None,
    overwrite: bool,
) -> None:
    """Measure maps on a data set's pictures, print the figures, and write them and the curves below `output`.

    Args:
        dataset: whose pictures.
        options: which of them.
        model: the model and its place.
        decoding: fields of DecodingOptions that take the place of the model's own.
        method: the one to measure; None for all.
        output: a folder; None for none.
        overwrite: replace files that are there.
    """
    from capcli.evaluation.references import dataset_references

    methods = (method,) if method else tuple(METHODS)
    files = _files(output, overwrite)
    references = dataset_references(dataset, options.split, default="dev")
    count = _PICTURES if options.pictures is None else options.pictures
    pictures = _drawn([item.image for item in references.items if item.image], count)

    from capcli.captioner import Captioner
    from capcli.evaluation.faithfulness import check, curves
    from capcli.evaluation.provenance import machine, model_files, versions
    from capcli.evaluation.table import print_check
    from capcli.files.json import dumps

    captioner = Captioner.load(model.model, model.device, model.lm)
    chosen = captioner.options.replace(**decoding)
    captioner.check(chosen)
    failed: list[Path] = []
    with counting() as progress:
        arrays = _readable(captioner, pictures, failed)
        first = list(islice(arrays, 1))
        if not first:
            raise CapcliError("no picture could be read")
        found = check(
            captioner,
            chain(first, arrays),
            methods=methods,
            options=chosen,
            progress=lambda done: progress(done, len(pictures)),
        )
    print_check(found, f"{captioner.name} on {_titled(references)}")
    if files:
        report = {
            **found.to_json(),
            "dataset": str(dataset),
            "split": references.split,
            **model_files(model),
            "decoding": dataclasses.asdict(chosen),
            "unreadable": [str(path) for path in failed],
            "versions": versions("capcli", "torch", "torchvision", "numpy", "pillow"),
            "machine": machine(),
        }
        _write(files[0], dumps(report, indent=2) + b"\n")
        _write(files[1], curves(found))
    if failed:
        raise typer.Exit(1)


def _files(folder: Path | None, overwrite: bool) -> list[Path]:
    if folder is None:
        return []
    check_folder(folder)
    files = [folder / _FIGURES, folder / _CURVES]
    there = [file for file in files if file.exists()]
    if there and not overwrite:
        raise UsageError(f"{there[0]} is there already; --overwrite replaces it")
    return files


def _drawn(pictures: Sequence[Path], count: int) -> list[Path]:
    """That many of the pictures, always the same, in their own order; all for 0."""
    if not 0 < count < len(pictures):
        return list(pictures)
    import numpy as np

    return [pictures[place] for place in sorted(np.random.default_rng(0).permutation(len(pictures))[:count])]


def _readable(captioner: Captioner, pictures: Sequence[Path], failed: list[Path]) -> Iterator[np.ndarray]:
    for path in pictures:
        try:
            yield captioner.prepare(path)
        except UnreadableImage as error:
            tell(str(error))
            failed.append(path)


def _titled(references: References) -> str:
    return f"{references.name}, {references.split}" if references.split else references.name


def _write(path: Path, content: bytes) -> None:
    from capcli.files.atomic import write_atomic

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, content)
    except OSError as error:
        raise CapcliError(f"{path}: {system_reason(error)}; the figures are not written") from None
