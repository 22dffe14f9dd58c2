"""What `capcli caption --one-per-burst` finds, and how much faster it is.

usage: python benchmarks/bursts.py FOLDER [--pictures N] [--bursts N] [--shots N] [--rounds N]

First it compares the perceptual hashes of N pictures of FOLDER (by default 300) with those of all others, and with
those of the same picture as the next shot of a burst may be: the camera moved and turned a little, and a little
brighter or darker. Then it makes a folder of bursts (by default 12 bursts of 12 shots) with times in their EXIF, and
captions it with and without the option, in turns.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

import imagehash
import numpy as np
from machine import command, describe
from PIL import ExifTags, Image, ImageEnhance

from capcli.arrays import BoolArray, IntArray
from capcli.library.bursts import MOST_APART
from capcli.pictures.find import find_pictures
from capcli.pictures.read import read_picture, to_array

LIMITS = (8, 12, 14, 16, 18, 20)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", type=int, default=300)
    parser.add_argument("--bursts", type=int, default=12)
    parser.add_argument("--shots", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()

    print(f"machine: {describe()}")
    pictures = [read_picture(path) for path in find_pictures([options.folder]).pictures[: options.pictures]]
    compare(pictures)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "photos"
        make_bursts(folder, pictures[: options.bursts], options.shots)
        ratios = []
        for _ in range(options.rounds):
            every_shot, per_burst = (
                caption(folder, Path(name) / "photos.db", *more) for more in ((), ("--one-per-burst",))
            )
            ratios.append(every_shot / per_burst)
        speedups = ", ".join(f"{ratio:.1f}" for ratio in ratios)
        print(
            f"{options.bursts} bursts of {options.shots} shots: {speedups} times as fast with --one-per-burst, "
            "by the clock"
        )


def compare(pictures: list[Image.Image]) -> None:
    chance = np.random.default_rng(0)
    hashes = np.stack([look(picture) for picture in pictures])
    others = (hashes[:, None] != hashes[None]).sum(-1)[np.triu_indices(len(hashes), 1)]
    print(f"{len(pictures)} pictures; shares whose hashes differ in at most so many bits ({MOST_APART} is the limit)")
    print(f"{'':16}" + "".join(f"{limit:>9}" for limit in LIMITS))
    tell("others", others)
    for moved in (0.02, 0.05, 0.08):
        shots = [next_shot(picture, moved, chance) for picture in pictures]
        tell(f"moved by {moved:.0%}", np.array([(look(first) != look(second)).sum() for first, second in shots]))


def tell(name: str, apart: IntArray) -> None:
    print(f"{name:16}" + "".join(f"{(apart <= limit).mean():>9.3%}" for limit in LIMITS))


def look(picture: Image.Image) -> BoolArray:
    """The bits of a picture's hash, 64."""
    bits: BoolArray = imagehash.phash(Image.fromarray(to_array(picture, 224))).hash.flatten()
    return bits


def next_shot(picture: Image.Image, moved: float, chance: np.random.Generator) -> tuple[Image.Image, Image.Image]:
    """A picture, and the same a moment later; of both the edges are cut away, so that there is none where it moved."""
    width, height = picture.size
    edge = moved + 0.02
    aside, down = chance.uniform(-moved, moved, 2)
    nearer = chance.uniform(0, moved)

    def cut(whole: Image.Image, x: float, y: float, less: float) -> Image.Image:
        left, right = (int(width * share) for share in (edge + x, 1 - edge + x - less))
        top, bottom = (int(height * share) for share in (edge + y, 1 - edge + y - less))
        return whole.crop((left, top, right, bottom))

    turned = picture.rotate(chance.uniform(-1.5, 1.5), Image.Resampling.BICUBIC)
    later = ImageEnhance.Brightness(cut(turned, aside, down, nearer)).enhance(chance.uniform(0.92, 1.08))
    return cut(picture, 0, 0, 0), later


def make_bursts(folder: Path, pictures: list[Image.Image], shots: int) -> None:
    folder.mkdir()
    chance = np.random.default_rng(1)
    for burst, picture in enumerate(pictures):
        for shot in range(shots):
            exif = Image.Exif()
            taken = f"2019:07:04 {burst // 60:02}:{burst % 60:02}:{shot:02}"
            exif[ExifTags.IFD.Exif] = {ExifTags.Base.DateTimeOriginal: taken}
            _, later = next_shot(picture, 0.02, chance)
            later.save(folder / f"{burst:03}-{shot:02}.jpg", exif=exif, quality=92)


def caption(folder: Path, library: Path, *more: str) -> float:
    """Seconds that a run takes."""
    start = time.perf_counter()
    done = subprocess.run(
        [command(), "caption", str(folder), "-o", str(library), "--overwrite", *more],
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    print(f"  {' '.join(more) or 'each'}: {done.stderr.splitlines()[-1]}")
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
