"""The outputs of shards, put together whatever they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from capcli.errors import UsageError
from capcli.files.target import check_target
from capcli.output.merging import Shards, merge_rows
from capcli.output.options import LIBRARY, MergeOptions


def merge_shards(outputs: Sequence[Path], output: Path, options: MergeOptions | None = None) -> Shards:
    """Puts the outputs of all shards of a run into one, whole or not at all, in the order of a run over all pictures.

    Args:
        outputs: of the shards, in any order.
        output: what to make.
        options: the format, and whether an output that is there is replaced.

    Returns:
        what was merged.

    Raises:
        UsageError: as `Shards.read` does, and where `output` is there and is not to be replaced, is one of the shards,
            or cannot be made.
        CapcliError: where the disk does not take it.
    """
    chosen = options or MergeOptions()
    form = chosen.row_format(output)
    check_target("OUT", output)
    if output.exists() and any(one.exists() and output.samefile(one) for one in outputs):
        raise UsageError(f"{output} is one of the shards; name another file for all of them together")
    if output.exists() and form == LIBRARY:
        raise UsageError(f"{output} exists, and a library is never replaced; name a new file")
    if output.exists() and not chosen.overwrite:
        raise UsageError(f"{output} exists; --overwrite replaces it")
    if form == LIBRARY:
        from capcli.library.merging import merge_libraries, read_library_origins

        shards = Shards.read(outputs, read_library_origins)
        merge_libraries(shards, output)
    else:
        shards = Shards.read(outputs)
        merge_rows(shards, output, form)
        shards.stamp(output)
    return shards
