"""`capcli merge`: the outputs of all shards, put together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from capcli.cli.messages import inform
from capcli.cli.options import Group, path, takes
from capcli.output.options import MergeOptions
from capcli.words.counting import count_of


@takes(how=Group(MergeOptions, "Output", common=("format", "overwrite")))
def merge(
    output: Annotated[Path, typer.Argument(metavar="OUT", help="What to make.", parser=path)],
    shards: Annotated[
        list[Path], typer.Argument(metavar="SHARDS", help="All outputs of `capcli caption --shard`.", parser=path)
    ],
    *,
    how: dict[str, Any],
) -> None:
    """Join the outputs of `capcli caption --shard` in the order of a run over all pictures.

    It makes sure that each shard is there once, that none lacks a picture or has one twice, and that all were made by
    the same model and options. OUT is there as a whole or not at all; the shards stay as they are.
    """
    options = MergeOptions(**how)

    from capcli.runs.merging import merge_shards

    merged = merge_shards(shards, output, options)
    inform(f"merged {count_of(len(merged.outputs), 'shard')} of {count_of(merged.total, 'picture')} into {output}")
