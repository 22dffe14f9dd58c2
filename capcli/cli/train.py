"""`capcli train`: make or fine-tune a captioning model from a recipe."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from capcli.cli.messages import hush, inform, tell
from capcli.cli.options import Quiet, path
from capcli.cli.streams import silence
from capcli.words.counting import count_of

if TYPE_CHECKING:
    from capcli.training.improvement import Gain


def train(
    data: Annotated[
        list[Path],
        typer.Option(
            parser=path,
            metavar="DATA",
            help="Flickr8k folder, COCO or Karpathy JSON, CSV/JSONL with image and caption, or a library, of which "
            "checked captions are taken; for a language model also .txt, a sentence a line; repeat for more. "
            "The dev split of the first one chooses the weights.",
        ),
    ],
    recipe: Annotated[
        str | None,
        typer.Argument(
            help="TOML recipe: a file, or the name of one that ships, such as base.",
            show_default="fine-tune, with --from",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", parser=path, metavar="FILE", help="Model file to write.", show_default="NAME.safetensors"
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the model file where it exists.")] = False,
    run: Annotated[
        Path | None,
        typer.Option(
            parser=path,
            metavar="FOLDER",
            help="Folder of checkpoints and log; a stopped run there goes on.",
            show_default="runs/ and the model file's name",
        ),
    ] = None,
    encoder_weights: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Pretrained encoder: 'imagenet' (torchvision's own), 'none' or a safetensors file; with --from, the "
            "one that the recipe's anchor holds the model's to.",
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="NAME|FILE",
            help="Model to go on from, name or file; its encoder, decoder and vocabulary stay.",
        ),
    ] = None,
    unlabelled: Annotated[
        list[Path] | None,
        typer.Option(
            parser=path,
            metavar="FOLDER",
            help="Pictures without captions, sub-folders included, for the recipe's autoencoder stages; repeat for "
            "more. Those that a data set of --data names are left out.",
            show_default=False,
        ),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            parser=path, metavar="FOLDER", help="Folder of cached regions.", show_default="cache/ in the run's folder"
        ),
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="DEVICE", help="Where to compute: auto, cpu, cuda, cuda:N or mps.")
    ] = "auto",
    quiet: Quiet = False,
) -> None:
    """Train a captioning model from a RECIPE, or fine-tune one on pictures of your own.

    A run that was killed goes on exactly where it was. With --from, what the training brought is told at the end.

    On several devices: torchrun --nproc-per-node 2 -m -- capcli train RECIPE ...
    """
    from capcli.training.command import train_model
    from capcli.training.processes import joined

    hush(quiet)
    with joined() as processes, silence() if quiet else nullcontext():
        trained = train_model(
            recipe,
            data,
            output=output,
            overwrite=overwrite,
            run=run,
            encoder_weights=encoder_weights,
            start=start,
            unlabelled=unlabelled or (),
            cache=cache,
            device=device,
            processes=processes,
        )
    if processes.first:
        for name, gain in trained.gains.items():
            inform(f"{name}: {_describe(gain, name in trained.chosen)}")
        if not trained.calibrated:
            tell(
                "confidence is the mean probability of a caption's words: what is held out is too little to fit it to "
                "(50 pictures, with good and bad captions)"
            )
        typer.echo(trained.file)


def _describe(gain: Gain, chosen: bool) -> str:
    """A gain on one line."""
    cider_d, (before, after) = gain.cider_d, gain.perplexity
    pictures = count_of(gain.pictures, "picture")
    whose = "of the dev split, which chose the weights" if chosen else "kept out of training"
    figures = f"CIDEr-D {cider_d.a:.3f} before, {cider_d.b:.3f} after ({cider_d.value:+.3f}"
    if cider_d.low is not None and cider_d.high is not None:
        figures += f", 95 % {cider_d.low:.3f} to {cider_d.high:.3f}"
        if cider_d.low <= 0 <= cider_d.high:
            figures += ": no sure difference"
    return f"{pictures} {whose}: {figures}), perplexity {before:.1f} before, {after:.1f} after"
