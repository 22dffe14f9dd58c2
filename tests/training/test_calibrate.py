from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import capcli.engines.torch_engine
from capcli.caption import Caption, Word
from capcli.datasets import Item
from capcli.modelfile.checkpoint import Checkpoint
from capcli.training import calibrate as module
from capcli.training.calibrate import calibrate, judged

CPU = torch.device("cpu")
COUNT = 60
ITEMS = [Item(Path(f"{n}.jpg"), ((f"number {n}" if n % 10 < n / 6 else "nothing of it"),), "dev") for n in range(COUNT)]


class StandIn:
    """Says the number of a picture, the surer the higher it is."""

    @classmethod
    def of(cls, *_: Any) -> StandIn:
        return cls()

    def caption(self, images: Sequence[Path]) -> list[Caption]:
        return [
            Caption(path.stem, (Word("number", -1.0, None), Word(path.stem, -1.0, None)), (int(path.stem) + 1) / 100)
            for path in images
        ]


def test_captions_are_judged_by_their_own_references() -> None:
    confidences, scores = judged(StandIn(), ITEMS)  # type: ignore[arg-type]
    assert confidences == pytest.approx(np.arange(1, COUNT + 1) / 100)
    assert [score > 0 for score in scores] == [item.captions[0] != "nothing of it" for item in ITEMS]


def test_surer_captions_that_are_better_get_a_calibration_that_says_so(
    tiny_checkpoint: Callable[..., Checkpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "Captioner", StandIn)
    calibration = calibrate(tiny_checkpoint(), [ITEMS], CPU)
    assert calibration is not None
    good = np.mean([item.captions[0] != "nothing of it" for item in ITEMS])
    assert calibration.table[0] == (0.0, good, COUNT)
    assert calibration(0.6) > 0.6 > 0.3 > calibration(0.05)


def test_data_sets_of_unlike_size_count_the_same(
    tiny_checkpoint: Callable[..., Checkpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "Captioner", StandIn)
    small = [Item(Path(f"{n}.jpg"), ("nothing of it",), "dev") for n in range(0, COUNT, 6)]
    calibration = calibrate(tiny_checkpoint(), [ITEMS, small], CPU)
    assert calibration is not None
    good = np.mean([item.captions[0] != "nothing of it" for item in ITEMS])
    assert calibration.table[0] == (0.0, pytest.approx(good / 2), COUNT + len(small))


def test_too_few_pictures_give_none(
    tiny_checkpoint: Callable[..., Checkpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "Captioner", StandIn)
    assert calibrate(tiny_checkpoint(), [ITEMS[:40]], CPU) is None


def test_the_model_keeps_its_weights_to_the_last_digit(
    tiny_checkpoint: Callable[..., Checkpoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capcli.engines.torch_engine, "bfloat16_pays", lambda device: True)
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    checkpoint = tiny_checkpoint()
    calibrate(checkpoint, [[Item(tmp_path / "a.png", ("A dog.",), "dev")] * 2], CPU)
    kept = checkpoint.model.state_dict()
    for name, weights in tiny_checkpoint().model.state_dict().items():
        assert torch.equal(kept[name], weights)
