"""Heatmaps for the review page: what is asked of the process that makes them, and what becomes of it."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from capcli.captioner import Captioner
from capcli.errors import CapcliError
from capcli.library.review import Looked
from capcli.model.options import ModelOptions
from capcli.modelfile.checkpoint import Checkpoint
from capcli.modelfile.identity import identify_model
from capcli.pictures.read import read_described
from capcli.pictures.worker import Kind

pytest.importorskip("starlette")
from capcli.heatmap.overlay import overlay
from capcli.web.heatmaps import Heatmaps, NoHeatmap
from capcli.web.looker import Looker, ask

# Says what it was asked and which process it is; "slow" takes its time and "crash" ends it.
PROGRAM = """
import json, os, time
from capcli.pictures.worker import Kind, serve

def answer(wanted, turn):
    asked = json.loads(wanted)
    if asked["caption"] == "crash":
        os._exit(3)
    if asked["caption"] == "refuse":
        return Kind.REASON, b"there is a reason"
    if asked["caption"] == "slow":
        time.sleep(0.5)
    return Kind.PIXELS, json.dumps([{"pid": os.getpid(), "caption": asked["caption"]}]).encode()

serve(answer)
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Callable[..., Checkpoint]) -> ModelOptions:
    file = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    tiny_checkpoint().save(file)
    return ModelOptions(model=str(file), device="cpu")


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of 60 x 90 pixels, upright."""
    path = tmp_path_factory.mktemp("photos") / "dog.jpg"
    exif = Image.Exif()
    exif[274] = 6
    pixels = np.random.default_rng(0).integers(0, 255, (60, 90, 3), np.uint8)
    Image.fromarray(pixels).save(path, exif=exif)
    return path


@pytest.fixture(scope="module")
def looked(model: ModelOptions, picture: Path) -> Looked:
    _, facts = read_described(picture, 64)
    return Looked(str(picture), "A dog, Rex, runs.", facts.pixels, "tiny", identify_model(model.model).sha256)


@pytest.fixture
def heatmaps(model: ModelOptions) -> Iterator[Heatmaps]:
    with Heatmaps(model, [sys.executable, "-c", PROGRAM]) as running:
        yield running


async def stays() -> bool:
    return False


async def left() -> bool:
    return True


def test_each_word_has_its_map_of_the_pictures_shape(model: ModelOptions, looked: Looked) -> None:
    kind, content = Looker().answer(ask(looked, model))
    assert kind is Kind.PIXELS
    words = json.loads(content)
    assert [word["known"] for word in words] == [True, True, False, True]
    assert words[2]["probability"] == "unknown"
    maps = [Image.open(io.BytesIO(base64.b64decode(word["map"].partition(",")[2]))) for word in words]
    assert {image.size for image in maps} == {(256, 384)}
    expected = Captioner.load(model.model).attend(looked.path, caption=looked.caption)
    under = Image.new("RGB", (256, 384), (90, 120, 40))
    for word, image in zip(expected.words, maps, strict=True):
        laid = np.asarray(Image.alpha_composite(under.convert("RGBA"), image.convert("RGBA")).convert("RGB"), int)
        assert np.abs(laid - np.asarray(overlay(under, word.heatmap(under.size)), int)).max() <= 1


def test_why_there_is_none_is_a_clause(
    model: ModelOptions, looked: Looked, tmp_path: Path, tiny_checkpoint: Callable[..., Checkpoint]
) -> None:
    looker = Looker()
    for change, expected in (
        ({"pixels": "00"}, b"the picture has changed since it was captioned; caption it again"),
        ({"path": "/nowhere/\udce9.jpg"}, b"the picture does not exist"),
        ({"caption": "a dog " * 99}, b"the caption has 198 words and this model can say 40; shorten it"),
    ):
        kind, reason = looker.answer(ask(replace(looked, **change), model))
        assert (kind, reason) == (Kind.REASON, expected)
    kind, reason = Looker().answer(ask(looked, ModelOptions(model="nowhere")))
    assert (kind, reason.startswith(b"nowhere: no such model file")) == (Kind.REASON, True)
    tiny_checkpoint("merge").save(tmp_path / "blind.safetensors")
    _, reason = Looker().answer(ask(looked, ModelOptions(model=str(tmp_path / "blind.safetensors"), device="cpu")))
    assert b"has no attention" in reason


def test_one_process_answers_all_and_what_was_asked_before_is_remembered(heatmaps: Heatmaps, looked: Looked) -> None:
    async def many() -> list[object]:
        texts = ("one", "two", "one")
        return [
            answer[0]
            for answer in await asyncio.gather(*(heatmaps.make(replace(looked, caption=text), stays) for text in texts))
        ]

    assert heatmaps.pid is None
    answers = asyncio.run(many())
    assert answers == [{"pid": heatmaps.pid, "caption": text} for text in ("one", "two", "one")]
    pid = heatmaps.pid
    assert pid is not None
    # Nobody is asked again, not even for somebody who has left; of another file there is nothing to remember.
    again = asyncio.run(heatmaps.make(replace(looked, caption="one"), left))
    assert again == [answers[0]]
    os.utime(looked.path, (1, 1))
    with pytest.raises(NoHeatmap, match="nobody waits"):
        asyncio.run(heatmaps.make(replace(looked, caption="one"), left))


def test_a_crash_is_told_and_the_next_wish_starts_another(heatmaps: Heatmaps, looked: Looked) -> None:
    with pytest.raises(CapcliError, match="the process that makes heatmaps ended"):
        asyncio.run(heatmaps.make(replace(looked, caption="crash"), stays))
    assert heatmaps.pid is None
    with pytest.raises(NoHeatmap, match=r"^there is a reason$"):
        asyncio.run(heatmaps.make(replace(looked, caption="refuse"), stays))
    assert asyncio.run(heatmaps.make(looked, stays)) == [{"pid": heatmaps.pid, "caption": looked.caption}]


def test_no_process_starts_for_the_caption_of_another_model(heatmaps: Heatmaps, looked: Looked) -> None:
    for change, message in (
        ({"model": "other", "model_sha256": "ab"}, "the model other wrote the caption, not tiny; .*--model"),
        ({"model": None, "model_sha256": None}, "no model that is known wrote the caption"),
    ):
        with pytest.raises(NoHeatmap, match=message):
            asyncio.run(heatmaps.make(replace(looked, **change), stays))
    assert heatmaps.pid is None


def test_the_end_of_the_server_waits_for_no_heatmap(model: ModelOptions, looked: Looked) -> None:
    async def end() -> None:
        with Heatmaps(model, [sys.executable, "-c", PROGRAM.replace("0.5", "600")]) as heatmaps:
            wish = asyncio.ensure_future(heatmaps.make(replace(looked, caption="slow"), stays))
            while heatmaps.pid is None:
                await asyncio.sleep(0.01)
            heatmaps.end()
            with pytest.raises(NoHeatmap, match="the server ends"):
                await wish

    start = time.monotonic()
    asyncio.run(end())
    assert time.monotonic() - start < 60
