"""`capcli compress`: a model made smaller, and what that costs."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import typer

from capcli.cli.console import Console
from capcli.cli.messages import inform, tell
from capcli.cli.options import Group, takes
from capcli.cli.progress import counting
from capcli.cli.reports import publish_measured
from capcli.compression.options import CompressOptions, MeasureOptions
from capcli.modelfile.shipped import find_model


@takes(
    how=Group(CompressOptions, "Compression", common=("output", "prune", "int8", "overwrite")),
    where=Group(MeasureOptions, "Before and after"),
)
def compress(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A model that ships with capcli, or a .safetensors file.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object in place of the table.")] = False,
    *,
    how: dict[str, Any],
    where: dict[str, Any],
) -> None:
    """Make a MODEL smaller, and say what that does to its size, its speed and with --data its captions.

    Pruned with --data it is fine-tuned on the training pictures of the DATASET before its dev pictures are scored.
    The file is a model like any other, for every command. It is written before anything is measured.
    """
    options, measuring = CompressOptions(**how), MeasureOptions(**where)
    source = find_model(model)
    target = options.target(source)

    from capcli.compression.measurement import find_references, measure_models, scores_of, timed_pictures
    from capcli.compression.table import print_compressed

    # Everything that can be wrong with data and pictures is reported before torch takes its seconds.
    references, pictures = find_references(measuring, [source]), timed_pictures(measuring.pictures)

    tuning = options.fine_tuning(measuring.data)

    from capcli.compression.smaller_models import FineTuning, compress_model, save_smaller

    tune = FineTuning(source, tuning[0], measuring, tuning[1]) if tuning else None
    smaller = compress_model(model, source, options)
    if tune:
        smaller = tune(smaller)
    elif options.prune is not None:
        tell("pruned without fine-tuning, which would win back captions: see --data and --recipe")
    # What came to be there meanwhile stays too; a fine-tuning's folder gives the model to the next command at once.
    options.target(source)
    save_smaller(smaller, source, target)
    inform(f"wrote {target}")
    both = {model: source, str(target): target}
    with counting() as progress:
        found = measure_models(both, measuring, references, pictures, observer=Console(), progress=progress)
    if found.comparisons:
        # Now its scores are known, and a model file holds its own.
        save_smaller(dataclasses.replace(smaller, scores=scores_of(found)), source, target)
        found = found.reread()
    publish_measured(found, print_compressed, as_json=as_json)
