"""How alike a photograph and its copies are, and how alike others: the scores of `capcli duplicates`.

usage: python benchmarks/duplicate_scores.py FOLDER [--pictures N] [--model NAME|FILE]

Compares each of N pictures of FOLDER (by default 200) with copies of it: at half its size and saved as a poor JPEG, a
twentieth brighter, and cut by a tenth at two edges as the next picture of a burst may be. Prints the scores that shares
of them reach, and those of each picture's nearest other one.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
from machine import describe
from PIL import Image, ImageEnhance

from capcli.arrays import Float32Array
from capcli.captioner import Captioner
from capcli.captioning import BaseCaptioner
from capcli.model.options import BATCH
from capcli.pictures.find import find_pictures
from capcli.pictures.read import read_picture

SHARES = (0.01, 0.05, 0.5, 0.95, 0.99)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--model", default="base")
    options = parser.parse_args()

    print(f"machine: {describe()}")
    captioner = Captioner.load(options.model)
    pictures = [read_picture(path) for path in find_pictures([options.folder]).pictures[: options.pictures]]
    embeddings = embed(captioner, pictures)
    alike = embeddings @ embeddings.T
    np.fill_diagonal(alike, -1)
    print(f"{len(pictures)} pictures; scores that shares of them stay below")
    print(f"{'':16}" + "".join(f"{share:>8.0%}" for share in SHARES))
    tell("nearest other", alike.max(1))
    for name, change in {"smaller, poorer": shrink, "brighter": brighten, "cut": cut}.items():
        tell(name, np.einsum("ne,ne->n", embeddings, embed(captioner, [change(picture) for picture in pictures])))


def embed(captioner: BaseCaptioner, pictures: list[Image.Image]) -> Float32Array:
    """The matcher's vectors, float32 N x E."""
    prepared = np.stack([captioner.prepare(picture) for picture in pictures])
    parts = [captioner.picture_vectors(prepared[start : start + BATCH]) for start in range(0, len(prepared), BATCH)]
    return np.concatenate(parts)


def shrink(picture: Image.Image) -> Image.Image:
    file = io.BytesIO()
    picture.resize((picture.width // 2, picture.height // 2)).save(file, "JPEG", quality=50)
    return Image.open(file).convert("RGB")


def brighten(picture: Image.Image) -> Image.Image:
    return ImageEnhance.Brightness(picture).enhance(1.05)


def cut(picture: Image.Image) -> Image.Image:
    return picture.crop((picture.width // 10, picture.height // 10, picture.width, picture.height))


def tell(name: str, scores: Float32Array) -> None:
    print(f"{name:16}" + "".join(f"{np.quantile(scores, share):8.3f}" for share in SHARES), flush=True)


if __name__ == "__main__":
    main()
