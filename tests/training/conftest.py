"""A data set and recipes so small that a whole run takes seconds, and decoders without an encoder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from small_encoder import SMALL_ENCODER
from toy_objective import WIDTH, WORDS

from capcli.model.decoders.contract import Decoder
from capcli.model.decoders.registry import build_decoder, decoders

Write = Callable[..., Path]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A table of nine training and two dev pictures, with captions of very unlike length."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rows = ["image,caption,split"]
    for number in range(11):
        Image.new("RGB", (32, 32), (number * 20, 255 - number * 20, 90)).save(folder / f"{number}.png")
        split = "dev" if number > 8 else "train"
        rows += [f"{number}.png,a picture {'of a thing ' * number},{split}", f"{number}.png,a thing,{split}"]
    (folder / "captions.csv").write_text("\n".join(rows))
    return folder


@pytest.fixture
def write_recipe(tmp_path: Path, tiny_settings: Callable[..., dict[str, Any]]) -> Write:
    """Writes `recipe.toml` of the given stages; keywords are whole tables. Other processes do not know its encoder."""

    def table(name: str, values: dict[str, Any]) -> str:
        return f"{name}\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())

    def write(*stages: dict[str, Any], **tables: dict[str, Any]) -> Path:
        whole = {
            "data": {"min_count": 1},
            "encoder": {"name": SMALL_ENCODER, "size": 32, "weights": "none"},
            "decoder": tiny_settings("lstm", dropout=0.0),
            "decoding": {"max_length": 7},
        } | tables
        common = {"batch_size": 4, "warmup": 0, "average": 0.5}
        file = tmp_path / "recipe.toml"
        file.write_text(
            "".join(table(f"[{name}]", values) for name, values in whole.items())
            + "".join(table("[[stage]]", common | stage) for stage in stages or [{"epochs": 1}])
        )
        return file

    return write


@pytest.fixture(params=sorted(decoders()))
def decoder(request: pytest.FixtureRequest, tiny_settings: Callable[..., dict[str, Any]]) -> Decoder:
    """Each decoder in turn, in training, for the toy pictures."""
    torch.manual_seed(0)
    # Through two layers the picture that is seen but once takes longer to reach the words.
    options = {"layers": 1} if request.param == "inject" else {}
    return build_decoder(tiny_settings(request.param, dropout=0.0, **options), WIDTH, (1, 3), WORDS).train()
