"""Captioning for evaluation, with a stand-in for the model."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
import types
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from capcli.decoding.options import DecodingOptions
from capcli.errors import UsageError
from capcli.evaluation import dataset_captions
from capcli.evaluation.dataset_captions import caption_references
from capcli.evaluation.references import References, read_references
from capcli.model.options import ModelOptions


class FakeCaptioner:
    name, device, size, options = "base", "cpu", 8, DecodingOptions(beam_size=5)
    seen = 0

    def load(self, model: str, device: str, language_model: str | None = None) -> FakeCaptioner:
        return self

    def check(self, options: DecodingOptions) -> None:
        pass

    def caption_arrays(self, arrays: np.ndarray, options: DecodingOptions) -> list[Any]:
        self.seen += len(arrays)
        told = [f"brightness {array.mean():.0f}" for array in arrays]
        return [SimpleNamespace(text=text, confidence=0.5, uncertain=False, alternatives=()) for text in told]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeCaptioner:
    captioner = FakeCaptioner()
    module = types.ModuleType("capcli.captioner")
    module.Captioner = captioner  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "capcli.captioner", module)
    return captioner


@pytest.fixture
def references(tmp_path: Path) -> References:
    for i in range(3):
        Image.new("RGB", (9, 9), (i, i, i)).save(tmp_path / f"{i}.png")
    (tmp_path / "r.json").write_text(json.dumps({f"{i}.png": [f"brightness {i}"] for i in range(3)}))
    return read_references(tmp_path / "r.json")


@pytest.fixture
def model(tmp_path: Path) -> ModelOptions:
    """A model file, of which only the hash matters here."""
    (tmp_path / "m.safetensors").write_bytes(b"weights")
    return ModelOptions(model=str(tmp_path / "m.safetensors"), batch_size=2)


def test_every_image_is_captioned_in_silence(
    fake: FakeCaptioner, references: References, model: ModelOptions, capfd: pytest.CaptureFixture[str]
) -> None:
    captioned = caption_references(references, model, {"beam_size": 2})
    assert [prediction.caption for prediction in captioned.predictions] == [f"brightness {i}" for i in range(3)]
    assert (captioned.run["decoding"]["beam_size"], captioned.run["batch_size"]) == (2, 2)
    assert capfd.readouterr() == ("", "")


def test_what_is_kept_is_not_captioned_again(
    fake: FakeCaptioner, references: References, model: ModelOptions, tmp_path: Path
) -> None:
    keep = tmp_path / "rows.jsonl"
    whole = caption_references(references, model, keep=keep)
    settings = json.loads((tmp_path / "rows.jsonl.settings.json").read_text())
    assert (settings["model"], settings["beam_size"], settings["sha256"]) == ("base", 5, whole.run["model"]["sha256"])
    keep.write_text("".join(keep.read_text().splitlines(keepends=True)[:2]))
    fake.seen = 0
    resumed = caption_references(references, model, keep=keep, resume=True)
    assert fake.seen == 1
    assert [row.caption for row in resumed.predictions] == [row.caption for row in whole.predictions]


def test_other_weights_under_the_same_name_are_refused(
    fake: FakeCaptioner, references: References, model: ModelOptions, tmp_path: Path
) -> None:
    keep = tmp_path / "rows.jsonl"
    caption_references(references, model, keep=keep)
    Path(model.model).write_bytes(b"other weights")
    with pytest.raises(UsageError, match=r"rows\.jsonl holds captions made with sha256 \w{12}, not \w{12}; name"):
        caption_references(references, model, keep=keep, resume=True)


def test_another_language_model_is_another_origin(
    fake: FakeCaptioner, references: References, model: ModelOptions, tmp_path: Path
) -> None:
    keep, language = tmp_path / "rows.jsonl", tmp_path / "lm.safetensors"
    language.write_bytes(b"words")
    beside = dataclasses.replace(model, lm=str(language))
    captioned = caption_references(references, beside, keep=keep)
    assert captioned.run["language_model"] == {"name": "lm", "sha256": hashlib.sha256(b"words").hexdigest()}
    language.write_bytes(b"other words")
    with pytest.raises(UsageError, match=r"holds captions made with language model \w{12}, not \w{12}; name"):
        caption_references(references, beside, keep=keep, resume=True)
    assert "language_model" not in caption_references(references, model).run


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, r"rows\.jsonl: rows\.jsonl\.settings\.json is not beside it to say what made it; name another file"),
        ("[]", r"does not say what made rows\.jsonl"),
        ("{", r"settings\.json, line 1: broken JSON"),
    ],
)
def test_captions_of_unknown_origin_are_refused(
    fake: FakeCaptioner, references: References, model: ModelOptions, tmp_path: Path, content: str | None, told: str
) -> None:
    keep, settings = tmp_path / "rows.jsonl", tmp_path / "rows.jsonl.settings.json"
    caption_references(references, model, keep=keep)
    settings.unlink()
    if content is not None:
        settings.write_text(content)
    with pytest.raises(UsageError, match=told):
        caption_references(references, model, keep=keep, resume=True)


def test_a_run_killed_before_its_settings_are_written_leaves_no_others(
    fake: FakeCaptioner, references: References, model: ModelOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = tmp_path / "rows.jsonl"
    caption_references(references, model, keep=keep)

    def killed(path: Path, content: bytes) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(dataset_captions, "write_atomic", killed)
    with pytest.raises(KeyboardInterrupt):
        caption_references(references, model, {"beam_size": 2}, keep=keep, overwrite=True)
    with pytest.raises(UsageError, match="is not beside it"):
        caption_references(references, model, keep=keep, resume=True)


def test_kept_captions_of_other_images_are_told(
    fake: FakeCaptioner, references: References, model: ModelOptions, tmp_path: Path
) -> None:
    keep = tmp_path / "rows.jsonl"
    caption_references(references, model, keep=keep)
    fewer = References(references.source, references.name, None, references.items[:1])
    captioned = caption_references(fewer, model, keep=keep, resume=True)
    assert len(captioned.predictions) == 1
    assert captioned.notes == (f"{keep} also holds rows of 2 other images, which are not scored",)


def test_one_file_keeps_what_one_model_made_of_several_splits(
    fake: FakeCaptioner, references: References, model: ModelOptions, tmp_path: Path
) -> None:
    keep = tmp_path / "rows.jsonl"
    one, rest = (
        References(references.source, references.name, None, items)
        for items in (references.items[:1], references.items[1:])
    )
    caption_references(one, model, keep=keep)
    with pytest.raises(UsageError, match="made with beam size 5, not 2"):
        caption_references(rest, model, {"beam_size": 2}, keep=keep, resume=True)
    caption_references(rest, model, keep=keep, resume=True)
    assert len(keep.read_text().splitlines()) == 3
