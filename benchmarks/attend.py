"""What heatmaps cost: time per photograph of `capcli attend --as npz` beside `capcli caption`, and of drawing one.

usage: python benchmarks/attend.py [--pictures FOLDER] [--count N] [--rounds N] [--model NAME|FILE]
                                   [--batch-size N] [--method NAME]

Takes turns, in one process and with the same readers of pictures, between

  caption  what `capcli caption FOLDER -o rows.jsonl` does at its defaults
  attend   what `capcli attend FOLDER -o DIR --as npz` does

each from the list of paths to the last file written, start-up left out, and prints milliseconds per photograph of
both for every round, which of them begins changing from round to round, and the overhead. Then it draws a grid of 12
words of a photograph of 640 x 480, PNG included, prints the seconds that takes on one thread, and the size of the
photograph's HTML page. Without --pictures, JPEGs of 640 x 480 are made as for throughput.py. torch uses as many
threads as it chooses; set OMP_NUM_THREADS to change it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from machine import describe
from photographs import make_photographs

from capcli.model.options import BATCH

if TYPE_CHECKING:
    from capcli.caption import Caption
    from capcli.captioning import BaseCaptioner
    from capcli.runs.session import Session

WORDS = 12
DRAWINGS = 20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--count", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", default="base")
    parser.add_argument("--batch-size", type=int, default=BATCH)
    parser.add_argument("--method")
    options = parser.parse_args()

    from capcli.model.options import ModelOptions
    from capcli.pictures.find import find_pictures
    from capcli.runs.session import Session

    print(f"machine: {describe()}")
    place = ModelOptions(model=options.model, device="cpu", batch_size=options.batch_size)
    with tempfile.TemporaryDirectory() as folder, Session(place) as session:
        if options.pictures is None:
            options.pictures = Path(folder)
            make_photographs(options.pictures, options.count)
        pictures = find_pictures([options.pictures]).pictures
        compare(session, pictures, options)
        draw(session.captioner, pictures[0], options.method)


def compare(session: Session, pictures: Sequence[Path], options: argparse.Namespace) -> None:
    turns = {"caption": caption_all, "attend": attend_all}
    for turn in turns.values():  # what is only done once is no part of the figures
        turn(session, pictures[: options.batch_size], options)
    rounds = []
    for number in range(1, options.rounds + 1):
        order = list(turns) if number % 2 else list(turns)[::-1]
        taken = {name: turns[name](session, pictures, options) / len(pictures) * 1000 for name in order}
        rounds.append((taken["caption"], taken["attend"]))
        print(
            f"round {number}, {order[0]} first: caption {taken['caption']:.2f} ms a photograph; attend --as npz "
            f"{taken['attend']:.2f} ms; overhead {taken['attend'] / taken['caption'] - 1:+.1%}",
            flush=True,
        )
    overheads = sorted(attend / caption - 1 for caption, attend in rounds)
    caption, attend = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(
        f"median of {len(rounds)} rounds of {len(pictures)} photographs, model {session.captioner.name}, batch "
        f"{options.batch_size}: caption {caption:.2f} ms; attend {attend:.2f} ms; overhead "
        f"{statistics.median(overheads):+.1%} ({overheads[0]:+.1%} to {overheads[-1]:+.1%})"
    )


def caption_all(session: Session, pictures: Sequence[Path], options: argparse.Namespace) -> float:
    """Seconds that all pictures take."""
    from capcli.output.options import OutputOptions
    from capcli.output.outputs import Outputs
    from capcli.runs.writing import WriteCaptions

    with tempfile.TemporaryDirectory() as folder, Path(os.devnull).open("wb") as nowhere:
        rows = OutputOptions(output=Path(folder, "rows.jsonl"))
        with Outputs(rows, nowhere, options.pictures) as outputs:
            return session.run(WriteCaptions(outputs), pictures).seconds


def attend_all(session: Session, pictures: Sequence[Path], options: argparse.Namespace) -> float:
    """Seconds that all pictures take; rows go nowhere, as those of the other turn go to a file."""
    from capcli.heatmap.drawing import DrawMaps
    from capcli.heatmap.files import Drawings
    from capcli.heatmap.options import AttendOptions

    with tempfile.TemporaryDirectory() as folder, Path(os.devnull).open("wb") as nowhere:
        wish = AttendOptions(output=Path(folder), as_="npz", method=options.method)
        drawings = Drawings(wish.as_, Path(folder), options.pictures, pictures)
        return session.run(DrawMaps(drawings, wish, nowhere), pictures).seconds


def draw(captioner: BaseCaptioner, photograph: Path, method: str | None) -> None:
    from capcli.attribution.methods import DEFAULT_METHOD
    from capcli.heatmap.files import Drawings

    caption = captioner.attend(photograph, method=method or DEFAULT_METHOD)
    how = {"method": method or DEFAULT_METHOD, "model": captioner.name}
    with tempfile.TemporaryDirectory() as folder:
        grids = Drawings("grid", Path(folder), photograph.parent, [photograph])
        twelve = with_words(caption, WORDS)
        grids.write(photograph, twelve, **how)
        taken = []
        for _ in range(DRAWINGS):
            start = time.perf_counter()
            (grid,) = grids.write(photograph, twelve, **how)
            taken.append(time.perf_counter() - start)
        (page,) = Drawings("html", Path(folder), photograph.parent, [photograph]).write(photograph, caption, **how)
        print(
            f"grid of {WORDS} words, photograph read and PNG written: {statistics.median(taken):.3f} s, median of "
            f"{DRAWINGS} ({min(taken):.3f} to {max(taken):.3f}); {grid.stat().st_size / 1000:.0f} kB; "
            f"page of {len(caption.words)} words: {page.stat().st_size / 1000:.0f} kB"
        )


def with_words(caption: Caption, count: int) -> Caption:
    """The caption with its words repeated until they are so many."""
    words = (caption.words * count)[:count]
    return replace(caption, text=" ".join(word.text for word in words), words=words)


if __name__ == "__main__":
    main()
