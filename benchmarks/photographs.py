"""Photographs for benchmarks, always the same ones."""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"
FROM_SCIKIT_IMAGE = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")


def make_photographs(folder: Path, count: int) -> None:
    """Writes `count` JPEGs of 640 x 480, random crops and mirrorings of a few photographs, always the same."""
    from PIL import Image

    sources = sorted(EXAMPLES.glob("*.jpg"))
    found = importlib.util.find_spec("skimage")
    if found and found.origin:
        data = Path(found.origin).parent / "data"
        sources += [data / name for name in FROM_SCIKIT_IMAGE if (data / name).is_file()]
    if not sources:
        raise SystemExit(f"no photographs in {EXAMPLES}; name a folder with --pictures")
    photographs = [Image.open(source).convert("RGB") for source in sources]
    chance = random.Random(1)
    for number in range(count):
        photograph = photographs[number % len(photographs)]
        share = chance.uniform(0.6, 1.0)
        width, height = round(photograph.width * share), round(photograph.height * share)
        left, top = (
            chance.randint(0, photograph.width - width),
            chance.randint(0, photograph.height - height),
        )
        crop = photograph.resize((640, 480), box=(left, top, left + width, top + height))
        if chance.random() < 0.5:
            crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        crop.save(folder / f"{number:04}.jpg", quality=90)
