"""Model files of earlier versions: they load, and say what they said when they were made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from capcli.captioner import Captioner
from capcli.errors import UsageError

FORMER = Path(__file__).parent / "models" / "base-0.1.safetensors"
"""The architecture of `base` of 0.1.0 in small, matcher included: it was trained on pictures of one colour each."""

COLOURS = {
    "red": (200, 0, 0), "green": (0, 200, 0), "blue": (0, 0, 200), "white": (255, 255, 255),
    "black": (0, 0, 0), "yellow": (230, 230, 0),
}  # fmt: skip
CONFIDENCES = {
    "red": 0.900, "green": 0.886, "blue": 0.894, "white": 0.867, "black": 0.908, "yellow": 0.850,
}  # fmt: skip
"""As capcli 0.1.0 printed them."""


@pytest.fixture(scope="module")
def captioner() -> Captioner:
    return Captioner.load(FORMER, device="cpu")


@pytest.mark.parametrize("options", [{}, {"beam_size": 5, "rerank": 1.0}], ids=["as it is", "re-ranked"])
def test_a_model_of_the_former_base_captions_as_before(captioner: Captioner, options: dict[str, float]) -> None:
    pictures = [np.full((48, 48, 3), colour, np.uint8) for colour in COLOURS.values()]
    captions = captioner.caption(pictures, **options)
    assert [caption.text for caption in captions] == [f"A picture all in {colour}." for colour in COLOURS]
    if not options:
        assert [caption.confidence for caption in captions] == pytest.approx(list(CONFIDENCES.values()), abs=0.02)


def test_a_single_sentence_is_one_and_no_row_of_letters(captioner: Captioner) -> None:
    picture = np.full((48, 48, 3), COLOURS["black"], np.uint8)
    alone, listed = (captioner.similarities(picture, sentences) for sentences in ("all black.", ["all black."]))
    assert alone.shape == (1, 1) and np.array_equal(alone, listed)
    assert np.array_equal(captioner.sentence_vectors("all black."), captioner.sentence_vectors(["all black."]))
    nothing: list[Any] = [None, b"black", [None], [b"black"], 5]
    for sentences in nothing:
        with pytest.raises(UsageError, match="sentences are a list of texts, not"):
            captioner.similarities(picture, sentences)


def test_its_matcher_still_tells_pictures_and_sentences_apart(captioner: Captioner) -> None:
    picture = np.full((48, 48, 3), COLOURS["black"], np.uint8)
    black, yellow = captioner.similarities([picture], ["everything here is black.", "everything here is yellow."])[0]
    assert black > yellow
