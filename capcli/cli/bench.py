"""`capcli bench`: how fast this machine captions."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from capcli.cli.messages import print_json
from capcli.cli.options import Group, takes
from capcli.cli.progress import counting
from capcli.cli.reports import tell_all
from capcli.model.options import ModelOptions
from capcli.speed.options import BenchOptions


@takes(
    chosen=Group(BenchOptions, "Measuring", common=("pictures", "count", "rounds")),
    place=Group(ModelOptions, "Model", common=("model",)),
)
def bench(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object in place of the tables.")] = False,
    *,
    chosen: dict[str, Any],
    place: dict[str, Any],
) -> None:
    """Measure how fast this machine captions.

    Prints the machine, the model, images per second of a folder, the time of a first caption, the memory, and how that
    compares with the model's encoder alone in the same minutes. Close other programs before.
    """
    options, model = BenchOptions(**chosen), ModelOptions(**place)

    from capcli.speed.bench import measure_machine
    from capcli.speed.table import print_bench

    with counting() as progress:
        found = measure_machine(options, model, progress=progress)
    tell_all(found.notes)
    if as_json:
        print_json(found.to_json())
    else:
        print_bench(found)
