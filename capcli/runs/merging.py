"""The outputs of shards, put together whatever they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from capcli.errors import UsageError
from capcli.files.database import is_database
from capcli.files.target import check_target
from capcli.output.merging import Shards, merge_rows
from capcli.output.options import LIBRARY, PARQUET, PART_ROWS, MergeOptions, check_part_rows
from capcli.pictures.kinds import refuse_pictures


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
    check_part_rows(chosen.part_rows, form)
    _check_output(output, outputs, form, replace=chosen.overwrite)
    _check_kinds(outputs, output, form)
    if form == LIBRARY:
        from capcli.library.merging import merge_libraries, read_library_origins

        shards = Shards.read(outputs, read_library_origins)
        merge_libraries(shards, output)
    elif form == PARQUET:
        from capcli.output.parquet_merging import merge_folders, read_folder_origins

        shards = Shards.read(outputs, read_folder_origins)
        merge_folders(shards, output, chosen.part_rows or PART_ROWS)
    else:
        shards = Shards.read(outputs)
        merge_rows(shards, output, form)
        shards.stamp(output)
    return shards


def _check_kinds(outputs: Sequence[Path], output: Path, form: str) -> None:
    """Raises UsageError for a shard that is there and cannot be of the format of the merged output."""
    for path in filter(Path.exists, outputs):
        kind = "a folder" if path.is_dir() else "a library" if is_database(path) else "a file of rows"
        if kind != {LIBRARY: "a library", PARQUET: "a folder"}.get(form, "a file of rows"):
            raise UsageError(
                f"{path} is {kind}, and {output} would be of the format {form}; OUT has the format of its shards, so "
                "give it their ending, or name their format by --format"
            )


def _check_output(output: Path, outputs: Sequence[Path], form: str, *, replace: bool) -> None:
    """Raises UsageError where the merged output cannot be made."""
    if output.exists() and any(shard.exists() and output.samefile(shard) for shard in outputs):
        raise UsageError(f"{output} is one of the shards; name another for all of them together")
    if form in (LIBRARY, PARQUET) and output.exists():
        kind = "a library" if form == LIBRARY else "a folder"
        raise UsageError(f"{output} exists, and {kind} is never replaced; choose a new name")
    check_target("OUT", output)
    if output.exists() and not output.is_file():
        raise UsageError(f"{output} is not a regular file, and the shards are joined into one; name a file")
    refuse_pictures(output)
    if output.exists() and not replace:
        raise UsageError(f"{output} exists; --overwrite replaces it")
