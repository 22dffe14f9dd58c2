"""`capcli caption`: a sentence for every photograph."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from capcli.cli.options import given, option_for
from capcli.cli.progress import Bar
from capcli.cli.quiet import quiet_libraries
from capcli.decoding.options import DecodingOptions
from capcli.output import Result, Writer
from capcli.output.jsonl import JsonLinesWriter
from capcli.output.text import TextWriter, escape

if TYPE_CHECKING:
    from capcli.captioner import Captioner


def caption(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH", help="Photographs, and folders of them.", show_default=False),
    ],
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Look into sub-folders too.")] = False,
    model: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="A model that ships with capcli, or a .safetensors file.")
    ] = "base",
    device: Annotated[
        str, typer.Option(metavar="DEVICE", help="Where to compute: auto, cpu, cuda, cuda:N or mps.")
    ] = "auto",
    beam_size: Annotated[int | None, option_for(DecodingOptions, "beam_size")] = None,
    max_length: Annotated[int | None, option_for(DecodingOptions, "max_length")] = None,
    batch_size: Annotated[int, typer.Option(help="Photographs captioned at once.", min=1, max=1024)] = 16,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object per photograph.")] = False,
) -> None:
    """Caption photographs: the sentence for one file, `path<TAB>caption` for several or for a folder.

    A file that cannot be read gets a line on stderr, the rest goes on, and the exit code is 1.
    """
    from capcli.pictures.find import find_pictures

    # First, so that a wrong path is told before torch takes its seconds.
    pictures = find_pictures(paths, recursive=recursive)

    from capcli.captioner import Captioner

    captioner = Captioner.load(model, device)
    options = dataclasses.replace(captioner.options, **given(beam_size=beam_size, max_length=max_length))
    alone = len(paths) == 1 and pictures == [Path(paths[0])]
    stdout = sys.stdout.buffer
    writer = JsonLinesWriter(stdout) if json else TextWriter(stdout, alone=alone)
    if run(captioner, pictures, writer, options=options, batch_size=batch_size):
        raise typer.Exit(1)


def run(
    captioner: Captioner,
    pictures: Sequence[Path],
    writer: Writer,
    *,
    options: DecodingOptions,
    batch_size: int,
) -> int:
    """Caption `pictures`, each handed to `writer` exactly once and in order; what fails also goes to stderr.

    Returns:
        how many failed.
    """
    import numpy as np

    from capcli.pictures.stream import stream

    failed = 0
    with (
        quiet_libraries(),
        closing(stream(pictures, captioner.size, batch_size)) as batches,
        Bar(len(pictures)) as bar,
    ):
        for batch in batches:
            arrays = [reading.array for reading in batch if reading.array is not None]
            captions = iter(captioner.caption_arrays(np.stack(arrays), options) if arrays else ())
            with bar.lifted(len(batch)):
                for reading in batch:
                    if reading.error:
                        failed += 1
                        typer.echo(f"capcli: {escape(reading.path)}: {reading.error.reason}", err=True)
                        writer.write(Result(reading.path, error=reading.error.reason))
                    else:
                        said = next(captions)
                        writer.write(Result(reading.path, said.text, said.confidence, captioner.name))
    return failed
