"""`POST /v1/heatmaps`, of a tiny model with attention."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from serve_pictures import error_of, in_base64, png
from starlette.testclient import TestClient

from capcli.captioner import Captioner
from capcli.heatmap.overlay import overlay
from capcli.modelfile.checkpoint import Checkpoint

Client = Callable[..., TestClient]


@pytest.fixture(scope="module")
def captioner(small_checkpoint: Callable[..., Checkpoint]) -> Captioner:
    return Captioner.of(small_checkpoint(), "small", torch.device("cpu"))


@pytest.fixture(scope="module")
def picture() -> bytes:
    noise = np.random.default_rng(3).integers(0, 256, (6, 9, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((90, 60)).save(file, "PNG")
    return file.getvalue()


def test_maps_are_those_that_attend_makes_by_attention(
    make_client: Client, captioner: Captioner, picture: bytes, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(picture)
    answer = make_client(captioner).post("/v1/heatmaps", files={"image": ("a.png", picture)}).json()
    expected = captioner.attend(tmp_path / "a.png", method="attention")
    assert (answer["model"], answer["method"]) == ("small", "attention")
    (result,) = answer["results"]
    assert (result["name"], result["caption"], result["size"]) == ("a.png", expected.text, [90, 60])
    assert result["grid"] == list(captioner.grid)
    assert [word["word"] for word in result["words"]] == [word.text for word in expected.words]
    for word, right in zip(result["words"], expected.words, strict=True):
        np.testing.assert_allclose(word["attention"], right.attention, atol=1e-6)
        assert "overlay" not in word and "heads" not in word


def test_overlays_are_pictures_of_the_side_that_was_asked_for(
    make_client: Client, captioner: Captioner, picture: bytes, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(picture)
    sent: dict[str, Any] = {"image": in_base64(picture), "overlay": True, "side": 45, "caption": "the dog runs"}
    (result,) = make_client(captioner).post("/v1/heatmaps", json=sent).json()["results"]
    assert [word["word"] for word in result["words"]] == ["the", "dog", "runs"]
    expected = captioner.attend(tmp_path / "a.png", caption="the dog runs", method="attention").words[1]
    drawn = Image.open(io.BytesIO(base64.b64decode(result["words"][1]["overlay"])))
    assert (drawn.format, drawn.size) == ("PNG", (45, 30))
    small = Image.open(tmp_path / "a.png").resize((45, 30), Image.Resampling.BICUBIC, reducing_gap=3.0)
    right = np.asarray(overlay(small, expected.heatmap((45, 30))), int)
    assert np.abs(np.asarray(drawn, int) - right).max() <= 1


def test_only_the_words_that_were_named_are_told(make_client: Client, captioner: Captioner, picture: bytes) -> None:
    client = make_client(captioner)
    sent = {"image": in_base64(picture), "caption": "the dog runs", "words": "dog,ball"}
    (result,) = client.post("/v1/heatmaps", json=sent).json()["results"]
    assert [word["word"] for word in result["words"]] == ["dog"]


def test_a_caption_without_any_word_that_was_named_has_an_error(
    make_client: Client, captioner: Captioner, picture: bytes
) -> None:
    client = make_client(captioner)
    sent = {"image": in_base64(picture), "caption": "the dog runs", "words": "zebra,ball"}
    (result,) = client.post("/v1/heatmaps", json=sent).json()["results"]
    assert result["error"] == "none of ball, zebra is in its caption, 'the dog runs'"
    assert "words" not in result


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"caption": "..."}, "the caption '...' has no words"),
        ({"caption": "a dog " * 40}, "the caption has 80 words and this model can say"),
        ({"caption": "a dog", "beam_size": 2}, "with a caption of your own none is searched for, so leave beam_size"),
        ({"side": 5000}, "side must be a whole number from 16 to 2048"),
        ({"overlay": "yes"}, "overlay must be true or false"),
        ({"words": ["dog", "ball"]}, "words must be text, not ('dog', 'ball')"),
        ({"words": 5}, "words must be text, not 5"),
        ({"caption": 5}, "caption must be text, not 5"),
        ({"num_captions": 2}, "no option is called 'num_captions'"),
        ({"method": "gradient"}, "no option is called 'method'"),
    ],
)
def test_what_it_cannot_do_is_one_sentence(
    make_client: Client, captioner: Captioner, fields: dict[str, Any], message: str
) -> None:
    found = error_of(make_client(captioner).post("/v1/heatmaps", json={"image": in_base64(png()), **fields}))
    assert found[0] == 400
    assert found[1].startswith(message)


def test_a_model_without_attention_says_so(make_client: Client, small_checkpoint: Callable[..., Checkpoint]) -> None:
    blind = Captioner.of(small_checkpoint("inject"), "blind", torch.device("cpu"))
    code, message = error_of(make_client(blind).post("/v1/heatmaps", json={"image": in_base64(png())}))
    assert code == 400
    assert message.startswith("the model blind has no attention to show")
