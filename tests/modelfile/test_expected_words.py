"""The words that a model expects of a picture: the file beside it, and what captions make of it."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capcli.captioner import Captioner
from capcli.catalogue.facts import Facts
from capcli.catalogue.soundness import checks
from capcli.compression.smaller_models import save_smaller
from capcli.decoding.options import DecodingKeywords
from capcli.errors import ModelError, UsageError
from capcli.known import know_model
from capcli.model.options import ModelOptions
from capcli.modelfile.checkpoint import Checkpoint
from capcli.modelfile.confidence import Calibration, PictureCalibration
from capcli.modelfile.expected_words import ExpectedWords
from capcli.modelfile.layer import apply_layer
from capcli.modelfile.target import check_model_target
from capcli.output.origin import read_origin
from capcli.words.vocabulary import SPECIALS, Vocabulary

PICTURE = np.full((20, 20, 3), 90, np.uint8)


@pytest.fixture
def model(tiny_file: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(tiny_file, tmp_path / "one.safetensors"))


@pytest.fixture
def words(model: Path) -> ExpectedWords:
    """Words of which the first is sure to be there and the second sure not to, whatever the picture."""
    width = Captioner.of_file(model, "cpu").encode(np.zeros((1, 32, 32, 3), np.uint8)).shape[-1]
    weight = np.random.default_rng(0).uniform(-1e-6, 1e-6, (3, width)).astype(np.float32)
    calibration = np.array([[-1, 0], [1, 1]], np.float32)
    bias, even = np.array([1, -1, 0], np.float32), np.array([0.2, 0.1, 0.2], np.float32)
    return ExpectedWords(("ball", "dog", "zebra"), weight, bias, calibration, even, 0.05, 9)


@settings(max_examples=30, deadline=None)
@given(pictures=st.integers(0, 40), width=st.integers(1, 40), rows=st.integers(1, 40))
def test_a_layer_is_a_matrix_product(pictures: int, width: int, rows: int) -> None:
    chance = np.random.default_rng(pictures + 50 * width + 2500 * rows)
    features, weight, bias = (
        chance.normal(size=shape).astype(np.float32) for shape in ((pictures, width), (rows, width), (rows,))
    )
    np.testing.assert_allclose(apply_layer(features, weight, bias), features @ weight.T + bias, atol=1e-4)


def test_words_are_read_as_they_were_saved_up_to_int8(model: Path, words: ExpectedWords) -> None:
    assert ExpectedWords.of_model(model) is None
    place = words.save(model)
    read = ExpectedWords.of_model(model)
    assert place == model.with_suffix(".words") and read is not None
    assert (read.words, read.floor, read.share) == (words.words, 0.05, 9)
    np.testing.assert_allclose(read.weight, words.weight, atol=np.abs(words.weight).max() / 253)
    assert np.array_equal(read.bias, words.bias) and np.array_equal(read.even, words.even)


def test_what_is_expected_is_the_log_of_a_ratio_and_nothing_of_other_words(words: ExpectedWords) -> None:
    vocabulary = Vocabulary([*SPECIALS, "a", "dog", "ball"])
    found = words.expect(np.zeros((2, words.weight.shape[1]), np.float32), vocabulary)
    # "zebra" is no word of the model's; it stands as the one that is never said.
    expected = [0, 0, 0, np.log(0.5 / 0.2), 0, np.log(0.05), np.log(1 / 0.2)]
    np.testing.assert_allclose(found, [expected, expected], atol=1e-4)


@pytest.mark.parametrize("engine", ["torch", "onnx"])
def test_captions_say_what_is_expected_unless_it_has_no_weight(model: Path, words: ExpectedWords, engine: str) -> None:
    plain = Captioner.load(model, "cpu", engine=engine)
    before = plain.caption(PICTURE)
    with pytest.raises(UsageError, match="expects no words of a picture, so leave --word-weight out"):
        plain.caption(PICTURE, word_weight=1.0)
    words.save(model)
    captioner = Captioner.load(model, "cpu", engine=engine)
    assert captioner.options == plain.options.replace(word_weight=9)
    spoken = [word.text for word in captioner.caption(PICTURE).words]
    assert "ball" in spoken and "dog" not in spoken
    without = captioner.caption(PICTURE, word_weight=0.0)
    assert (without.text, without.confidence) == (before.text, before.confidence)
    drawn = [either.caption(PICTURE, sample=True, seed=3).text for either in (plain, captioner)]
    assert drawn[0] == drawn[1]


@pytest.fixture
def calibrated(model: Path, tiny_checkpoint: Callable[..., Checkpoint]) -> Checkpoint:
    """What the model's file then holds: one with a calibration."""
    checkpoint = dataclasses.replace(tiny_checkpoint(), calibration=Calibration(1.0, 0.0))
    checkpoint.save(model)
    return checkpoint


@pytest.fixture
def sure(calibrated: Checkpoint, words: ExpectedWords) -> ExpectedWords:
    """The words with a confidence: near 1 for any picture."""
    weight = np.zeros(words.weight.shape[1], np.float32)
    return dataclasses.replace(words, confidence=PictureCalibration(Calibration(0.01, 9.0), weight))


def test_captions_with_them_have_their_confidence_and_others_the_models(model: Path, sure: ExpectedWords) -> None:
    plain = Captioner.load(model, "cpu")
    sure.save(model)
    captioner = Captioner.load(model, "cpu")
    assert captioner.caption(PICTURE).confidence > 0.999
    assert captioner.attend(PICTURE).confidence > 0.999
    assert captioner.caption(PICTURE, word_weight=0.0).confidence == plain.caption(PICTURE).confidence < 0.999
    drawn = [either.caption(PICTURE, sample=True, seed=3).confidence for either in (plain, captioner)]
    assert drawn[0] == drawn[1]
    given = [either.attend(PICTURE, caption="a dog").confidence for either in (plain, captioner)]
    assert given[0] == given[1]
    captioner.calibration = None
    assert captioner.caption(PICTURE).confidence < 0.999


def test_their_confidence_moves_with_the_picture(model: Path, sure: ExpectedWords) -> None:
    pictures = np.stack([np.full((32, 32, 3), shade, np.uint8) for shade in (0, 255)])
    dark, light = Captioner.load(model, "cpu").pooled(pictures)
    weight = ((light - dark) / np.square(light - dark).sum() * 6).astype(np.float32)
    middle = Calibration(0.01, float(-weight @ (dark + light) / 2))
    dataclasses.replace(sure, confidence=PictureCalibration(middle, weight)).save(model)
    found = [caption.confidence for caption in Captioner.load(model, "cpu").caption_arrays(pictures)]
    assert found == pytest.approx([1 / (1 + np.exp(3)), 1 / (1 + np.exp(-3))], abs=0.02)


@pytest.mark.parametrize("kept", [True, False])
def test_a_smaller_model_has_their_confidence_if_it_has_its_own(
    model: Path, calibrated: Checkpoint, sure: ExpectedWords, tmp_path: Path, kept: bool
) -> None:
    sure.save(model)
    target = tmp_path / "small.safetensors"
    save_smaller(calibrated if kept else dataclasses.replace(calibrated, calibration=None), model, target)
    words = ExpectedWords.of_model(target)
    assert words is not None and (words.confidence is not None) == kept


def test_they_are_known_before_a_run_so_that_none_is_gone_on_with_by_others(model: Path, words: ExpectedWords) -> None:
    place = ModelOptions(model=str(model))
    before = read_origin(place, {})
    words.save(model)
    after = read_origin(place, {})
    assert after.options["word_weight"] == know_model(model).options.word_weight == 9
    assert before.difference(after) == "with --word-weight 0.0; you ask for 9.0"
    assert after.difference(read_origin(place, {})) is None
    dataclasses.replace(words, bias=words.bias + 1).save(model)
    assert "with expected words 'SHA-256" in (after.difference(read_origin(place, {})) or "")


def test_where_they_change_nothing_a_run_goes_on_without_them(model: Path, words: ExpectedWords) -> None:
    place = ModelOptions(model=str(model))
    asked: list[DecodingKeywords] = [{"word_weight": 0.0}, {"sample": True}]
    before = [read_origin(place, options) for options in asked]
    words.save(model)
    after = [read_origin(place, options) for options in asked]
    assert [old.difference(new) for old, new in zip(before, after, strict=True)] == [None, None]


def test_they_are_shown_and_verified_with_the_model(model: Path, words: ExpectedWords) -> None:
    def inspect_model() -> tuple[str, dict[str, bool | None]]:
        facts = Facts.read("one", model)
        return facts.decoding, {check.name: check.passed for check in checks(facts)}

    assert "words" not in inspect_model()[1]
    place = words.save(model)
    decoding, passed = inspect_model()
    assert "word_weight 9" in decoding and passed["words"] is True
    place.write_bytes(place.read_bytes().replace(b"capcli words 1", b"capcli words 2"))
    assert inspect_model()[1]["words"] is False


@pytest.mark.parametrize("wordy", [True, False])
def test_a_smaller_model_has_the_words_of_its_original_and_no_others(
    model: Path, words: ExpectedWords, tiny_checkpoint: Callable[..., Checkpoint], tmp_path: Path, wordy: bool
) -> None:
    target = Path(shutil.copy(model, tmp_path / "small.safetensors"))
    dataclasses.replace(words, share=1.0).save(target)
    if wordy:
        words.save(model)
    save_smaller(tiny_checkpoint(), model, target)
    assert Captioner.of_file(target, "cpu").options.word_weight == (9 if wordy else 0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"words": ("ball",)}, "do not fit its words"),
        ({"words": ("ball", "dog", "ball")}, "do not fit its words"),
        ({"bias": np.array([0, np.nan, 0], np.float32)}, "not finite numbers"),
        ({"calibration": np.array([[0, 1], [1, 0]], np.float32)}, "calibration falls"),
        ({"calibration": np.zeros((0, 2), np.float32)}, "or there is none"),
        ({"words": ("ball", "dog", "<end>")}, "a special token"),
        ({"floor": 0.0}, "its probabilities are none"),
        ({"even": np.array([0.1, 0, 0.1], np.float32)}, "its probabilities are none"),
        ({"share": -1.0}, "its probabilities are none"),
        ({"confidence": PictureCalibration(Calibration(1, 0), np.zeros(3, np.float32))}, "does not fit its words"),
        ({"confidence": PictureCalibration(Calibration(1, 0), np.full(3, np.nan, np.float32))}, "not finite"),
    ],
)
def test_words_that_do_not_fit_are_refused(
    model: Path, words: ExpectedWords, change: dict[str, object], reason: str
) -> None:
    dataclasses.replace(words, **change).save(model)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=reason):
        Captioner.load(model, "cpu")


def test_words_of_another_model_are_refused(model: Path, words: ExpectedWords, tmp_path: Path) -> None:
    place = words.save(model)
    other = tmp_path / "other.safetensors"
    other.write_bytes(model.read_bytes() + b" ")
    shutil.copy(place, other.with_suffix(".words"))
    with pytest.raises(UsageError, match=r"other\.words was fitted to another model than .*other\.safetensors"):
        ExpectedWords.of_model(other)
    place.write_bytes(place.read_bytes()[:-4])
    with pytest.raises(ModelError, match="not a whole safetensors file"):
        Captioner.load(model, "cpu")


def test_words_of_regions_of_another_width_are_refused(model: Path, words: ExpectedWords) -> None:
    dataclasses.replace(words, weight=words.weight[:, :5]).save(model)
    with pytest.raises(ModelError, match="are of regions of 5 numbers"):
        Captioner.load(model, "cpu").caption(PICTURE)


def test_a_model_that_weighs_words_by_itself_is_refused(
    tiny_checkpoint: Callable[..., Checkpoint], tmp_path: Path
) -> None:
    checkpoint, file = tiny_checkpoint(), tmp_path / "one.safetensors"
    dataclasses.replace(checkpoint, options=checkpoint.options.replace(word_weight=1.0)).save(file)
    with pytest.raises(ModelError, match="it weighs expected words, which lie beside a model"):
        Captioner.load(file, "cpu")


def test_a_new_model_does_not_take_the_place_of_words(model: Path, words: ExpectedWords) -> None:
    place = words.save(model)
    model.unlink()
    with pytest.raises(UsageError, match=rf"{place.name} exists; --overwrite replaces it"):
        check_model_target(model, overwrite=False)
    check_model_target(model, overwrite=True)
