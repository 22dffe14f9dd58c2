"""Captioning for evaluation, with a stand-in for the model."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_captioner import FakeCaptioner
from PIL import Image

from capcli.errors import UsageError
from capcli.evaluation.dataset_captions import Captioned, caption_references
from capcli.evaluation.references import References, read_references
from capcli.model.options import ModelOptions
from capcli.modelfile.checkpoint import Checkpoint
from capcli.output.options import OutputOptions
from capcli.runs.session import Session


@pytest.fixture
def fake() -> FakeCaptioner:
    return FakeCaptioner()


@pytest.fixture
def references(tmp_path: Path) -> References:
    for i in range(3):
        Image.new("RGB", (9, 9), (i, i, i)).save(tmp_path / f"{i}.png")
    (tmp_path / "r.json").write_text(json.dumps({f"{i}.png": [f"brightness {i}"] for i in range(3)}))
    return read_references(tmp_path / "r.json")


@pytest.fixture
def model(tiny_file: Path, tmp_path: Path) -> ModelOptions:
    """A model file, of which only the header and the hash matter here."""
    return ModelOptions(model=shutil.copy(tiny_file, tmp_path / "m.safetensors"), batch_size=2)


@pytest.fixture
def caption(fake: FakeCaptioner, references: References, model: ModelOptions) -> Callable[..., Captioned]:
    """Captions references by the stand-in, and keeps the captions in a file."""

    def run(
        keep: Path | None = None,
        *,
        of: References = references,
        by: ModelOptions = model,
        decoding: dict[str, Any] | None = None,
        **how: bool,
    ) -> Captioned:
        options = None if keep is None else OutputOptions(output=keep, format="jsonl", **how)
        with Session(by, decoding, load=fake.load) as session:
            return caption_references(of, session, keep=options)

    return run


def test_every_image_is_captioned_in_silence(
    caption: Callable[..., Captioned], capfd: pytest.CaptureFixture[str]
) -> None:
    captioned = caption(decoding={"beam_size": 2})
    assert [prediction.caption for prediction in captioned.predictions] == [f"brightness {i}" for i in range(3)]
    assert (captioned.run["decoding"]["beam_size"], captioned.run["batch_size"]) == (2, 2)
    assert (captioned.tally.captioned, captioned.tally.failed) == (3, 0)
    assert capfd.readouterr() == ("", "")


def test_what_is_kept_is_not_captioned_again(
    caption: Callable[..., Captioned], fake: FakeCaptioner, tmp_path: Path
) -> None:
    keep = tmp_path / "rows.jsonl"
    whole = caption(keep)
    keep.write_text("".join(keep.read_text().splitlines(keepends=True)[:2]))
    fake.batches.clear()
    resumed = caption(keep, retry_failed=True)
    assert fake.captioned == 1
    assert [row.caption for row in resumed.predictions] == [row.caption for row in whole.predictions]


def test_the_report_says_which_language_model_there_was(
    caption: Callable[..., Captioned], model: ModelOptions, tmp_path: Path
) -> None:
    language = tmp_path / "lm.safetensors"
    language.write_bytes(b"words")
    captioned = caption(by=dataclasses.replace(model, lm=str(language)))
    assert captioned.run["language_model"] == {"name": "lm", "sha256": hashlib.sha256(b"words").hexdigest()}
    assert "language_model" not in caption().run


def test_other_weights_under_the_same_name_are_refused(
    caption: Callable[..., Captioned],
    model: ModelOptions,
    tiny_checkpoint: Callable[..., Checkpoint],
    tmp_path: Path,
) -> None:
    keep = tmp_path / "rows.jsonl"
    caption(keep)
    tiny_checkpoint("lstm").save(model.model)
    message = (
        r"rows\.jsonl was made with --model m \(SHA-256 \w{12}\); you ask for m \(SHA-256 \w{12}\); --resume-anyway"
    )
    with pytest.raises(UsageError, match=message):
        caption(keep, retry_failed=True)


def test_kept_captions_of_other_images_are_told(
    caption: Callable[..., Captioned], references: References, tmp_path: Path
) -> None:
    keep = tmp_path / "rows.jsonl"
    caption(keep)
    captioned = caption(keep, of=dataclasses.replace(references, items=references.items[:1]), retry_failed=True)
    assert len(captioned.predictions) == 1
    assert captioned.notes == (f"{keep} also holds rows of 2 other images, which are not scored",)


def test_one_file_keeps_what_one_model_made_of_several_splits(
    caption: Callable[..., Captioned], references: References, tmp_path: Path
) -> None:
    keep = tmp_path / "rows.jsonl"
    first, rest = (
        dataclasses.replace(references, items=items) for items in (references.items[:1], references.items[1:])
    )
    caption(keep, of=first)
    with pytest.raises(UsageError, match="was made with --beam-size 2; you ask for 4"):
        caption(keep, of=rest, decoding={"beam_size": 4}, retry_failed=True)
    caption(keep, of=rest, retry_failed=True)
    assert len(keep.read_text().splitlines()) == 3
