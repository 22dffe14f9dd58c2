"""`capcli train`: make or fine-tune a captioning model from a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train(
    recipe: Annotated[
        str,
        typer.Argument(help="TOML recipe: a file, or the name of one that ships, such as base.", show_default=False),
    ],
    data: Annotated[
        list[Path],
        typer.Option(
            help="Flickr8k folder, COCO or Karpathy JSON, or CSV/JSONL with image and caption; repeat for more. "
            "The dev split of the first one chooses the weights."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Model file to write.", show_default="NAME.safetensors"),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(help="Folder of checkpoints and log; a stopped run there goes on.", show_default="runs/NAME"),
    ] = None,
    encoder_weights: Annotated[
        str | None,
        typer.Option(help="Pretrained encoder: 'imagenet' (torchvision's own), 'none' or a safetensors file."),
    ] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="Model to go on from, name or file; its vocabulary stays.")
    ] = None,
    unlabelled: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FOLDER",
            help="Pictures without captions, sub-folders included, for the recipe's autoencoder stages; repeat for "
            "more. Those that a data set of --data names are left out.",
            show_default=False,
        ),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder of cached regions.", show_default="cache/ in the run's folder")
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="DEVICE", help="Where to compute: auto, cpu, cuda, cuda:N or mps.")
    ] = "auto",
) -> None:
    """Train a captioning model from a RECIPE. A run that was killed goes on exactly where it was."""
    from capcli.training.command import train_model

    target = train_model(
        recipe,
        data,
        output=output,
        run=run,
        encoder_weights=encoder_weights,
        start=start,
        unlabelled=unlabelled or (),
        cache=cache,
        device=device,
    )
    typer.echo(target)
