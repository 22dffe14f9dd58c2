from __future__ import annotations

import random

import numpy as np
import pytest
from PIL import Image

from capcli.pictures.read import to_array
from capcli.training.augment import augment


def picture(width: int = 40, height: int = 30) -> Image.Image:
    values = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(values).resize((width, height), Image.Resampling.BILINEAR)


@pytest.mark.parametrize(("crop", "jitter"), [(1.0, 0.0), (0.3, 0.0), (1.0, 0.5), (0.05, 0.9)])
@pytest.mark.parametrize("size", [(40, 30), (1, 1), (3, 200), (24, 24)])
def test_size_and_type(size: tuple[int, int], crop: float, jitter: float) -> None:
    for seed in range(5):
        array = augment(picture(*size), 24, crop, jitter, random.Random(seed))
        assert (array.shape, array.dtype) == ((24, 24, 3), np.uint8)


def test_the_same_chance_gives_the_same_picture() -> None:
    first, second, third = (augment(picture(), 24, 0.5, 0.4, random.Random(seed)) for seed in ("a", "a", "b"))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, third)


def test_without_crop_and_jitter_only_the_mirror_is_left() -> None:
    image = picture()
    plain = to_array(image, 24)
    mirrored = to_array(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), 24)
    augmented = [augment(image, 24, 1.0, 0.0, random.Random(seed)) for seed in range(20)]
    assert all(np.array_equal(array, plain) or np.array_equal(array, mirrored) for array in augmented)
    assert len({array.tobytes() for array in augmented}) == 2


@pytest.mark.parametrize("crop", [0.5, 0.8, 0.95])
def test_a_crop_keeps_its_share_of_the_picture(crop: float) -> None:
    # The red channel rises from left to right and the green one downwards, so that a crop shows what it kept.
    across, down = np.meshgrid(np.linspace(0, 255, 256), np.linspace(0, 255, 256))
    image = Image.fromarray(np.stack([across, down, 0 * down], -1).astype(np.uint8))
    for seed in range(30):
        array = augment(image, 64, crop, 0.0, random.Random(seed)).astype(float)
        wide, high = np.ptp(array[..., 0]) / 255, np.ptp(array[..., 1]) / 255
        # Each outermost pixel is the mean of a few.
        assert 0.93 * crop <= wide * high <= 1.02


def test_the_picture_given_stays_as_it_is() -> None:
    image = picture()
    before = np.array(image)
    augment(image, 24, 0.5, 0.5, random.Random(1))
    assert np.array_equal(np.array(image), before)
