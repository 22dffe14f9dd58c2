"""`capcli caption --on ray`: the command's options as a job for a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from capcli.cli.console import Console, leave
from capcli.decoding.options import DecodingKeywords
from capcli.errors import UsageError, system_reason
from capcli.keywords.options import KeywordOptions
from capcli.model.options import ModelOptions
from capcli.output.options import PARQUET, OutputOptions
from capcli.pictures.options import InputOptions
from capcli.runs.options import SharingOptions


def caption_elsewhere(
    paths: Sequence[str],
    inputs: InputOptions,
    outputs: OutputOptions,
    words: KeywordOptions,
    sharing: SharingOptions,
    decoding: DecodingKeywords,
    model: ModelOptions,
) -> None:
    """Captions pictures on a cluster; raises Exit where some of them failed, and what the job raises."""
    from capcli.keywords.chooser import keyword_origin
    from capcli.ray.job import Job, caption_on_ray

    if outputs.output is None:
        raise UsageError("--on ray needs a folder for what it writes, such as -o captions.parquet")
    if outputs.format not in (None, PARQUET):
        raise UsageError(f"--on ray writes Parquet, and no {outputs.format}; leave --format out")
    for name in ("sidecar", "errors", "retry_failed"):
        if getattr(outputs, name):
            raise UsageError(f"--on ray has no --{name.replace('_', '-')}; leave it out")
    console = Console()
    tally = caption_on_ray(
        Job(
            sources=_named(paths, inputs),
            find=lambda: _find(paths, inputs, console),
            output=outputs.output,
            model=model,
            decoding=decoding,
            words=words,
            others=keyword_origin(words),
            sharing=sharing,
            block_rows=outputs.part_rows,
            with_words=outputs.with_words,
            resume=outputs.resume,
            anyway=outputs.resume_anyway,
            overwrite=outputs.overwrite,
        ),
        console,
    )
    console.conclude(tally)
    leave(tally)


def _named(paths: Sequence[str], inputs: InputOptions) -> list[str]:
    """What the user named, as the folder of a job remembers it: absolute, so that it does not depend on where from."""
    from capcli.ray.places import split_uri

    named = [path if split_uri(path) else str(Path(path).absolute()) for path in paths]
    return named + ([f"--from-file {inputs.from_file}"] if inputs.from_file else [])


def _find(paths: Sequence[str], inputs: InputOptions, console: Console) -> list[str]:
    from capcli.ray.places import Folder, split_uri

    away = [path for path in paths if split_uri(path)]
    here = [path for path in paths if path not in away]
    found: list[str] = []
    if away and (inputs.include or inputs.exclude):
        raise UsageError("--include and --exclude look at local folders alone; name the folders of the bucket")
    for path in away:
        folder = Folder(path)
        try:
            pictures = list(folder.pictures(recursive=inputs.recursive))
        except OSError as error:
            raise UsageError(f"{folder} cannot be read ({system_reason(error)})") from None
        if not pictures:
            raise UsageError(f"no pictures in {folder}" + ("" if inputs.recursive else "; -r looks into sub-folders"))
        found += pictures
    if here or inputs.from_file:
        local, _ = inputs.find(here)
        for note in local.notes:
            console.warn(note)
        found += [str(picture) for picture in local.pictures]
    elif not away:
        raise UsageError("name photographs or folders of them, or --from-file LIST")
    return found
