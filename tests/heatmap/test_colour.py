from __future__ import annotations

import numpy as np
import pytest
from skimage.color import rgb2lab

from capcli.heatmap.colour import colours

# Machado, Oliveira and Fernandes 2009, "A physiologically-based model for simulation of color vision deficiency",
# table 1, severity 1.0; for linear RGB.
DICHROMACIES = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def simulated(kind: str) -> np.ndarray:
    """What people with a dichromacy see of the colours: float 256 x 3 in [0, 1]."""
    rgb = colours() / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    perceived = np.clip(linear @ np.array(DICHROMACIES[kind]).T, 0, 1)
    return np.where(perceived <= 0.0031308, 12.92 * perceived, 1.055 * perceived ** (1 / 2.4) - 0.055)


def steps(lab: np.ndarray) -> np.ndarray:
    # Of eight colours each, because rounding to bytes makes single ones uneven.
    return np.linalg.norm(np.diff(lab[::8], axis=0), axis=1)


def test_there_are_256_colours_that_nobody_can_change() -> None:
    assert colours().shape == (256, 3)
    assert colours().dtype == np.uint8
    assert colours() is colours()
    with pytest.raises(ValueError, match="read-only"):
        colours()[0] = 0


def test_steps_look_equally_large() -> None:
    lengths = steps(rgb2lab(colours() / 255))
    assert lengths.max() / lengths.min() < 1.25


def test_lightness_rises_from_dark_to_bright() -> None:
    lightness = rgb2lab(colours() / 255)[:, 0]
    assert lightness[0] < 12
    assert lightness[-1] > 92
    assert np.diff(lightness).min() > 0
    rises = np.diff(lightness[::8])
    assert rises.min() > 0.5 * rises.mean()


@pytest.mark.parametrize("kind", DICHROMACIES)
def test_with_a_dichromacy_lightness_still_rises_and_no_step_is_lost(kind: str) -> None:
    lab = rgb2lab(simulated(kind))
    rises = np.diff(lab[::8, 0])
    assert rises.min() > 0.5 * rises.mean()
    lengths = steps(lab)
    assert lengths.min() > 0.4 * lengths.mean()
    assert lengths.max() < 2 * lengths.mean()


def test_it_goes_from_blue_violet_to_yellow() -> None:
    first, last = colours()[[0, -1]].astype(int)
    assert first.argmax() == 2
    assert first.argmin() == 1
    assert min(last[:2]) > 200
    assert last[2] < 128
