from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import capcli
from capcli import Caption, Captioner
from capcli.errors import CapcliError, ModelError, UnreadableImage, UsageError
from capcli.model.decoders.registry import decoders
from capcli.modelfile.checkpoint import Checkpoint
from capcli.modelfile.confidence import Calibration
from capcli.words.tokens import detokenize


@pytest.fixture(scope="module")
def captioner(tiny_file: Path) -> Captioner:
    return Captioner.load(tiny_file, device="cpu")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    source = np.random.default_rng(1)
    for number, size in enumerate([(64, 64), (90, 40), (30, 70), (1, 1)]):
        noise = source.integers(0, 256, (size[1] // 10 + 1, size[0] // 10 + 1, 3), np.uint8)
        Image.fromarray(noise).resize(size).save(folder / f"{number}.png")
    return sorted(folder.iterdir())


def test_the_package_lists_all_its_names() -> None:
    assert set(capcli.__all__) <= set(dir(capcli))
    assert all(getattr(capcli, name) is not None for name in capcli.__all__)


def test_one_picture_in_any_form_gives_one_caption(captioner: Captioner, files: list[Path]) -> None:
    image = Image.open(files[0])
    expected = captioner.caption(files[0])
    assert isinstance(expected, Caption)
    forms: list[Any] = [str(files[0]), image, image.convert("RGBA"), np.asarray(image), np.asarray(image) / 255]
    assert [captioner.caption(form).text for form in forms] == [expected.text] * len(forms)
    assert str(expected) == expected.text


def test_a_list_in_mixed_forms_gives_a_list(captioner: Captioner, files: list[Path]) -> None:
    forms: list[Any] = [files[0], str(files[1]), Image.open(files[2]), np.asarray(Image.open(files[3]))]
    assert [c.text for c in captioner.caption(forms)] == [c.text for c in captioner.caption(files)]
    assert [c.text for c in captioner.caption(files[:1])] == [captioner.caption(files[0]).text]
    assert captioner.caption([]) == []


def _ask_all(captioner: Captioner, arrays: Any) -> list[Callable[[], object]]:
    return [
        lambda: captioner.caption_arrays(arrays),
        lambda: captioner.attend_arrays(arrays),
        lambda: captioner.encode(arrays),
        lambda: captioner.log_probabilities(arrays, ["a", "dog"]),
    ]


@pytest.mark.parametrize(
    ("shape", "kind", "named"),
    [
        ((1, 32, 32, 3), np.uint8, r"uint8 of shape (1, 32, 32, 3)"),
        ((64, 64, 3), np.uint8, r"uint8 of shape (64, 64, 3)"),
        ((1, 64, 64, 3), np.float32, r"float32 of shape (1, 64, 64, 3)"),
        ((1, 3, 64, 64), np.uint8, r"uint8 of shape (1, 3, 64, 64)"),
        ((), np.uint8, r"uint8 of shape ()"),
    ],
)
def test_prepared_pictures_of_another_shape_or_type_are_refused(
    captioner: Captioner, shape: tuple[int, ...], kind: type[np.generic], named: str
) -> None:
    for ask in _ask_all(captioner, np.zeros(shape, kind)):
        with pytest.raises(UsageError) as refused:
            ask()
        wanted = "pictures are a uint8 array of shape (B, 64, 64, 3)"
        assert str(refused.value) == f"{wanted}, not {named}; captioner.prepare makes one picture"


def test_prepared_pictures_are_an_array_and_probabilities_are_of_some(captioner: Captioner) -> None:
    for ask in _ask_all(captioner, [np.zeros((64, 64, 3), np.uint8)]):
        with pytest.raises(UsageError, match=r"of shape \(B, 64, 64, 3\), not list"):
            ask()
    nothing = np.empty((0, 64, 64, 3), np.uint8)
    assert captioner.caption_arrays(nothing) == []
    with pytest.raises(UsageError, match="has no pictures; give 1 or more"):
        captioner.log_probabilities(nothing, ["a", "dog"])


@pytest.mark.parametrize("decoder", sorted(decoders()))
def test_a_batch_is_its_pictures_one_by_one(
    decoder: str, files: list[Path], tiny_checkpoint: Callable[..., Checkpoint], tmp_path: Path
) -> None:
    tiny_checkpoint(decoder).save(tmp_path / "model.safetensors")
    captioner = Captioner.load(tmp_path / "model.safetensors", device="cpu")
    together = captioner.caption(files)
    assert [caption.text for caption in together] == [captioner.caption(file).text for file in files]


def test_words_carry_probability_and_attention(captioner: Captioner, files: list[Path]) -> None:
    for caption in captioner.caption(files):
        assert detokenize([word.text for word in caption.words]) == caption.text
        assert 1 <= len(caption.words) <= captioner.options.max_length
        for word in caption.words:
            assert word.log_probability <= 0
            assert word.attention.shape == (2, 2)
            assert word.attention.min() >= 0
            assert word.attention.sum() == pytest.approx(1, abs=1e-5)
        assert 0 < caption.confidence <= 1


def test_confidence_is_a_mean_of_probabilities(captioner: Captioner, files: list[Path]) -> None:
    for caption in captioner.caption(files):
        logs = [word.log_probability for word in caption.words]
        # The end counts as well; its probability is at most one.
        assert caption.confidence <= math.exp(sum(logs) / (len(logs) + 1)) + 1e-6


def test_arrays_of_every_kind(captioner: Captioner) -> None:
    gray = (np.arange(64 * 64) // 16).astype(np.uint8).reshape(64, 64)
    expected = captioner.caption(gray).text
    assert captioner.caption(gray / 255).text == expected
    assert captioner.caption((gray / 255).astype(np.float32)).text == expected
    assert captioner.caption(np.stack([gray] * 3, -1)).text == expected
    assert captioner.caption(gray > 127).text


@pytest.mark.parametrize(
    ("array", "scale"),
    [
        (np.linspace(0, 255, 48).reshape(4, 4, 3), "from 0 to 255"),
        (np.linspace(0, 255, 16, dtype=np.float32).reshape(4, 4), "from 0 to 255"),
        (np.linspace(-2.1, 2.6, 48).reshape(4, 4, 3), "from -2.1 to 2.6"),
        (np.linspace(-1, 1, 48).reshape(4, 4, 3), "from -1 to 1"),
        (np.linspace(-0.5, 0.5, 48).reshape(4, 4, 3), "from -0.5 to 0.5"),
    ],
)
def test_floats_of_another_scale_are_refused_in_one_line(captioner: Captioner, array: np.ndarray, scale: str) -> None:
    with pytest.raises(UnreadableImage) as caught:
        captioner.caption(array)
    assert str(caught.value) == f"array: has float values {scale}; give floats from 0 to 1, or uint8 from 0 to 255"


def test_floats_a_little_beyond_are_those_of_a_resized_picture(captioner: Captioner) -> None:
    array = np.linspace(0, 1, 48 * 48 * 3).reshape(48, 48, 3)
    stretched = np.clip(array * 1.1 - 0.05, 0, 1)
    assert captioner.caption(array * 1.1 - 0.05).text == captioner.caption(stretched).text


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (0, 0)])
def test_a_picture_without_pixels_is_refused(captioner: Captioner, size: tuple[int, int]) -> None:
    for question in (captioner.caption, captioner.attend):
        with pytest.raises(UnreadableImage, match=f"image: has {size[0]} x {size[1]} pixels"):
            question(Image.new("RGB", size))


def test_a_path_may_be_a_url(captioner: Captioner, files: list[Path]) -> None:
    assert captioner.caption(files[0].absolute().as_uri()).text == captioner.caption(files[0]).text


@pytest.mark.parametrize(
    "array",
    [np.zeros((2, 4, 4, 3), np.uint8), np.zeros(9, np.uint8), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4), np.uint8),
     np.zeros((4, 4, 3), np.int64), np.zeros((4, 4), object), np.full((4, 4, 3), np.nan)],
)  # fmt: skip
def test_arrays_that_are_no_pictures(captioner: Captioner, array: np.ndarray) -> None:
    with pytest.raises(UnreadableImage, match="array: has"):
        captioner.caption(array)


def test_a_picture_that_cannot_be_read(captioner: Captioner, files: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    with pytest.raises(UnreadableImage, match=r"broken.jpg: is not a picture"):
        captioner.caption([files[0], broken])
    with pytest.raises(UnreadableImage, match="does not exist"):
        captioner.caption(tmp_path / "absent.jpg")


def test_an_open_picture_that_is_cut_short(captioner: Captioner, files: list[Path], tmp_path: Path) -> None:
    Image.effect_noise((200, 200), 50).save(tmp_path / "whole.jpg")
    cut = tmp_path / "cut.jpg"
    cut.write_bytes((tmp_path / "whole.jpg").read_bytes()[:3000])
    with Image.open(cut) as image, pytest.raises(UnreadableImage, match=r"cut.jpg: .*truncated"):
        captioner.caption(image)


def test_options_take_the_place_of_the_models_own(captioner: Captioner, files: list[Path]) -> None:
    assert captioner.options.beam_size == 2
    assert {len(caption.words) for caption in captioner.caption(files, max_length=1)} == {1}
    assert captioner.options.max_length == 6
    longest = captioner.caption(files[0], max_length=12, length_penalty=4.0, beam_size=8)
    assert 1 <= len(longest.words) <= 12
    with pytest.raises(UsageError, match="beam_size must be a whole number from 1 to 32, not 0"):
        captioner.caption(files[0], beam_size=0)


def test_captions_longer_than_the_decoder_can_say(
    files: list[Path], tiny_checkpoint: Callable[..., Checkpoint], tmp_path: Path
) -> None:
    tiny_checkpoint(max_length=8).save(tmp_path / "model.safetensors")
    captioner = Captioner.load(tmp_path / "model.safetensors", device="cpu")
    assert captioner.caption(files[0], max_length=8).text
    with pytest.raises(UsageError, match="max-length must be at most 8 with this model, not 9"):
        captioner.caption(files[0], max_length=9)


def test_an_unknown_option_is_told_with_near_ones(captioner: Captioner, files: list[Path]) -> None:
    with pytest.raises(UsageError, match=r"^no option is called 'beams'; near it: .*beam_size"):
        captioner.caption(files[0], beams=3)


def test_several_captions_are_the_best_and_its_alternatives(captioner: Captioner, files: list[Path]) -> None:
    for caption in captioner.caption(files, num_captions=4, min_confidence=1.0):
        both = [caption, *caption.alternatives]
        assert len({alternative.text for alternative in both}) == 4
        assert all(
            alternative.uncertain and alternative.words and alternative.alternatives == ()
            for alternative in caption.alternatives
        )
    assert captioner.caption(files[0]).alternatives == ()


def test_a_calibrated_confidence_keeps_the_order(tiny_checkpoint: Callable[..., Checkpoint], files: list[Path]) -> None:
    raw = Captioner.of(tiny_checkpoint(), "tiny", torch.device("cpu"))
    calibrated = Captioner.of(
        dataclasses.replace(tiny_checkpoint(), calibration=Calibration(2.0, -0.5)), "tiny", torch.device("cpu")
    )
    for plain, caption in zip(
        raw.caption(files, num_captions=3), calibrated.caption(files, num_captions=3), strict=True
    ):
        assert caption.text == plain.text
        for first, second in zip((plain, *plain.alternatives), (caption, *caption.alternatives), strict=True):
            assert second.confidence == pytest.approx(Calibration(2.0, -0.5)(first.confidence))


@pytest.mark.parametrize("mode", [{}, {"sample": True}])
def test_captions_below_the_least_confidence_are_uncertain(
    captioner: Captioner, files: list[Path], mode: dict[str, Any]
) -> None:
    sure = captioner.caption(files[0], **mode)
    assert not sure.uncertain
    assert not captioner.caption(files[0], min_confidence=sure.confidence, **mode).uncertain
    assert captioner.caption(files[0], min_confidence=min(1.0, sure.confidence * 1.001), **mode).uncertain


@pytest.mark.parametrize("mode", [{}, {"sample": True}])
def test_every_caption_begins_with_the_prefix(captioner: Captioner, files: list[Path], mode: dict[str, Any]) -> None:
    for caption in captioner.caption(files, prefix="The dog's", num_captions=3, max_length=8, **mode):
        for spoken in (caption, *caption.alternatives):
            assert spoken.text.startswith("The dog's")
            # What the user said is no merit of the model.
            logs = [word.log_probability for word in spoken.words[3:]]
            assert spoken.confidence <= math.exp(sum(logs) / (len(logs) + 1)) + 1e-6 or len(spoken.words) == 8


def test_a_caption_that_is_all_prefix_is_sure(captioner: Captioner, files: list[Path]) -> None:
    caption = captioner.caption(files[0], prefix="a dog runs", max_length=3, sample=True)
    assert (caption.text, caption.confidence) == ("A dog runs.", 1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prefix": "a photo of a dog"}, "the model does not know the words 'photo', 'of' of the prefix"),
        ({"prefix": "a dog", "max_length": 1}, "the prefix has 2 words and max-length is 1"),
        ({"max_length": 40}, "max-length must be at most 8 with this model, not 40"),
    ],
)
def test_options_beyond_the_model_are_told_before_a_picture_is_read(
    tiny_checkpoint: Callable[..., Checkpoint], tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    tiny_checkpoint(max_length=8).save(tmp_path / "model.safetensors")
    captioner = Captioner.load(tmp_path / "model.safetensors", device="cpu")
    with pytest.raises(UsageError, match=message):
        captioner.caption(tmp_path / "absent.jpg", **options)
    with pytest.raises(UsageError, match=message):
        captioner.check(captioner.options.replace(**options))


def test_a_sample_depends_on_the_picture_and_the_seed_alone(captioner: Captioner, files: list[Path]) -> None:
    def texts(pictures: list[Path], seed: int) -> list[str]:
        return [caption.text for caption in captioner.caption(pictures, sample=True, seed=seed, min_length=4)]

    together = texts(files, 1)
    assert texts(files[::-1], 1) == together[::-1]
    assert [texts([file], 1)[0] for file in files] == together
    assert len({tuple(texts(files, seed)) for seed in range(4)}) == 4


def test_regions_encoded_once_are_sampled_by_the_seeds_given(captioner: Captioner, files: list[Path]) -> None:
    blank = np.zeros((1, captioner.size, captioner.size, 3), np.uint8)
    regions = captioner.encode(blank).expand(4, -1, -1)
    options = captioner.options.replace(sample=True, min_length=4)
    assert len({caption.text for caption in captioner.decode(regions, options)}) == 1
    assert len({caption.text for caption in captioner.decode(regions, options, seeds=range(4))}) == 4


FULL = [
    MemoryError(),
    torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"),
]


class Small(torch.nn.Module):
    """An encoder whose memory holds `most` pictures."""

    grid = (2, 2)

    def __init__(self, encoder: Callable[[torch.Tensor], torch.Tensor], most: int, error: Exception) -> None:
        super().__init__()
        self.encoder, self.most, self.error = encoder, most, error
        self.sizes: list[int] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(images))
        if len(images) > self.most:
            raise self.error
        return self.encoder(images)


@pytest.fixture
def small(tiny_file: Path) -> Callable[..., tuple[Captioner, Small]]:
    def build(most: int, error: Exception) -> tuple[Captioner, Small]:
        captioner = Captioner.load(tiny_file, device="cpu")
        captioner._engine._encoder = encoder = Small(captioner._engine._encoder, most, error)
        return captioner, encoder

    return build


@pytest.fixture
def arrays(captioner: Captioner) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (9, captioner.size, captioner.size, 3), np.uint8)


@pytest.mark.parametrize("error", FULL, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("options", [{}, {"sample": True}])
def test_a_batch_that_does_not_fit_into_memory_is_halved(
    captioner: Captioner, small: Any, arrays: np.ndarray, error: Exception, options: dict[str, Any]
) -> None:
    little, encoder = small(3, error)
    assert little.fits is None
    chosen = captioner.options.replace(**options)
    expected = [caption.text for caption in captioner.caption_arrays(arrays, chosen)]
    assert [caption.text for caption in little.caption_arrays(arrays, chosen)] == expected
    assert (little.fits, encoder.sizes) == (2, [9, 4, 2, 2, 2, 2, 1])
    # The size that fits is remembered.
    little.caption_arrays(arrays[:5], chosen)
    assert encoder.sizes[7:] == [2, 2, 1]


@pytest.mark.parametrize("error", FULL, ids=lambda error: type(error).__name__)
def test_memory_too_small_for_one_picture(small: Any, arrays: np.ndarray, error: Exception) -> None:
    with pytest.raises(CapcliError, match=r"^not enough memory to caption even one picture; close other programs"):
        small(0, error)[0].caption_arrays(arrays)


def test_other_errors_pass(small: Any, arrays: np.ndarray) -> None:
    captioner, encoder = small(3, RuntimeError("shapes do not fit"))
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        captioner.caption_arrays(arrays)
    assert (captioner.fits, encoder.sizes) == (None, [9])


def test_no_pictures_are_no_captions(captioner: Captioner, arrays: np.ndarray) -> None:
    assert captioner.caption_arrays(arrays[:0]) == []


def test_what_a_captioner_knows_of_its_model(captioner: Captioner) -> None:
    assert (captioner.name, captioner.size, captioner.device) == ("tiny", 64, "cpu")
    assert repr(captioner) == "Captioner('tiny', device='cpu')"


def test_models_and_devices_that_are_not_there(tiny_file: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such model file"):
        Captioner.load(tmp_path / "absent.safetensors")
    with pytest.raises(UsageError, match="no device named 'gpu'"):
        Captioner.load(tiny_file, device="gpu")
    with pytest.raises(UsageError, match="a model is a name or a path, not None"):
        Captioner.load(None)  # type: ignore[arg-type]


def test_a_vocabulary_is_a_path(captioner: Captioner, files: list[Path]) -> None:
    with pytest.raises(UsageError, match="vocabulary must be a path, not 5"):
        captioner.caption(files[0], keywords=3, vocabulary=5)  # type: ignore[call-overload]


def test_any_iterable_of_pictures_will_do(captioner: Captioner, files: list[Path]) -> None:
    expected = captioner.caption(files)
    captions = captioner.caption(file for file in files)
    assert [caption.text for caption in captions] == [caption.text for caption in expected]
    assert captioner.caption([]) == []


@pytest.mark.parametrize("images", [b"cat.jpg", 7, None, [7], [b"cat.jpg"]])
def test_what_is_no_picture_is_one_line(captioner: Captioner, images: Any) -> None:
    with pytest.raises(UsageError, match="path"):
        captioner.caption(images)


@pytest.mark.parametrize("path", ["a\nb.jpg", "a\0b.jpg", "a\x1b[2Jb.jpg", "a\u2028b.jpg"])
def test_errors_are_one_line_whatever_the_path(captioner: Captioner, path: str) -> None:
    with pytest.raises(UnreadableImage) as error:
        captioner.caption(path)
    assert str(error.value).isprintable() and "b.jpg: " in str(error.value)
    assert error.value.path == path


METHODS = ("gradient", "attention", "occlusion")


@pytest.mark.parametrize("method", METHODS)
def test_attend_says_what_caption_says_and_where_from(captioner: Captioner, files: list[Path], method: str) -> None:
    plain = captioner.caption(files)
    for attended, caption in zip(captioner.attend(files, method=method), plain, strict=True):
        assert (attended.text, attended.confidence) == (caption.text, pytest.approx(caption.confidence))
        for word, same in zip(attended.words, caption.words, strict=True):
            assert (word.text, word.log_probability) == (same.text, pytest.approx(same.log_probability, abs=1e-4))
            assert word.attention is not None and word.attention.shape == captioner.grid
            assert word.attention.min() >= 0
            assert word.attention.sum() == pytest.approx(1, rel=1e-4)
            assert word.heads is not None and word.heads.shape == (*captioner.heads, *captioner.grid)
            if method == "attention":
                np.testing.assert_allclose(word.attention, same.attention, atol=1e-5)
                np.testing.assert_allclose(word.attention, word.heads.mean((0, 1)), atol=1e-5)


@pytest.mark.parametrize(
    ("decoder", "method"),
    [*itertools.product(("lstm", "transformer"), METHODS), ("adaptive", "attention"), ("merge", "occlusion")],
)
def test_attention_of_a_batch_is_that_of_its_pictures_one_by_one(
    decoder: str, method: str, files: list[Path], tiny_checkpoint: Callable[..., Checkpoint], tmp_path: Path
) -> None:
    tiny_checkpoint(decoder).save(tmp_path / "model.safetensors")
    captioner = Captioner.load(tmp_path / "model.safetensors", device="cpu")
    for attended, file in zip(captioner.attend(files, method=method), files, strict=True):
        alone = captioner.attend(file, method=method)
        assert attended.text == alone.text
        for word, same in zip(attended.words, alone.words, strict=True):
            np.testing.assert_allclose(word.attention, same.attention, atol=0.02)


@pytest.mark.parametrize("decoder", ["adaptive", "lstm", "merge"])
def test_words_have_the_share_of_a_sentinel_where_there_is_one(
    decoder: str, files: list[Path], tiny_checkpoint: Callable[..., Checkpoint]
) -> None:
    captioner = Captioner.of(tiny_checkpoint(decoder), decoder, torch.device("cpu"))
    plain = captioner.caption(files[0])
    method = "occlusion" if decoder == "merge" else "gradient"
    attended = captioner.attend(files[0], method=method)
    given = captioner.attend(files[0], method=method, caption=plain.text)
    for words in zip(plain.words, attended.words, given.words, strict=True):
        shares = [word.sentinel for word in words]
        if decoder == "adaptive":
            assert shares[1:] == pytest.approx([shares[0]] * 2, abs=0.01)  # where words are given, in bfloat16
            assert 0 < shares[0] < 1
        else:
            assert shares == [None] * 3


def test_a_sentence_of_ones_own(captioner: Captioner, files: list[Path]) -> None:
    caption = captioner.attend(files[0], caption="  The Dog\nruns. ")
    assert caption.text == "The Dog runs."
    assert [word.text for word in caption.words] == ["the", "dog", "runs"]
    assert all(word.known for word in caption.words)
    expected = captioner.log_probabilities(np.stack([captioner.prepare(files[0])]), ["the", "dog", "runs"])[0]
    assert [word.log_probability for word in caption.words] == pytest.approx(expected[:-1].tolist(), rel=1e-4)
    assert caption.confidence == pytest.approx(math.exp(expected.mean()), rel=1e-3)


def test_the_models_own_sentence_given_back_is_the_same(captioner: Captioner, files: list[Path]) -> None:
    free = captioner.attend(files[1])
    given = captioner.attend(files[1], caption=free.text)
    assert [word.text for word in given.words] == [word.text for word in free.words]
    for word, same in zip(given.words, free.words, strict=True):
        assert word.log_probability == pytest.approx(same.log_probability, abs=1e-3)
        np.testing.assert_allclose(word.attention, same.attention, atol=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_words_the_model_does_not_know_are_marked_and_keep_their_attention(
    captioner: Captioner, files: list[Path], method: str
) -> None:
    caption = captioner.attend(files[0], caption="a zyzzyva runs", method=method)
    assert [word.known for word in caption.words] == [True, False, True]
    unknown = caption.words[1]
    assert unknown.text == "zyzzyva"
    assert unknown.log_probability == -math.inf
    assert unknown.attention is not None and unknown.heads is not None
    np.testing.assert_allclose(unknown.attention, unknown.heads.mean((0, 1)), atol=1e-5)
    assert caption.confidence == pytest.approx(0)


@pytest.mark.parametrize(
    ("caption", "message"),
    [
        ("", "has no words"),
        (" .,! ", "has no words"),
        ("a " * 41, "has 41 words and this model can say 40"),
    ],
)
def test_sentences_that_cannot_be_looked_at(
    captioner: Captioner, files: list[Path], caption: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        captioner.attend(files[0], caption=caption)


def test_an_unknown_method_is_told_before_a_picture_is_captioned(captioner: Captioner, files: list[Path]) -> None:
    with pytest.raises(
        UsageError,
        match=r"method must be one of gradient, attention, occlusion, not 'occlude'; did you mean occlusion\?",
    ):
        captioner.attend(files[0], method="occlude")


@pytest.mark.parametrize("decoder", ["inject", "merge"])
def test_a_model_without_attention_says_so_but_can_be_occluded(
    decoder: str, tiny_checkpoint: Callable[..., Checkpoint], files: list[Path]
) -> None:
    blind = Captioner.of(tiny_checkpoint(decoder), "blind", torch.device("cpu"))
    with pytest.raises(UsageError, match="the model blind has no attention to show; take one that has, such as base"):
        blind.attend(files[0])
    with pytest.raises(UsageError, match="no attention for the word"):
        blind.caption(files[0]).words[0].heatmap((4, 4))
    for word in blind.attend(files[0], method="occlusion").words:
        assert word.heads is None
        assert word.attention is not None and word.attention.sum() == pytest.approx(1, rel=1e-4)


def test_heatmaps_have_the_size_of_the_picture(captioner: Captioner, files: list[Path]) -> None:
    heat = captioner.attend(files[1]).words[0].heatmap((90, 40))
    assert heat.shape == (40, 90)
    assert heat.min() >= 0
    assert heat.max() == pytest.approx(1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"caption": 5}, "a caption is a sentence, not 5"),
        ({"method": None}, "method must be one of .*, not 'None'"),
        ({"caption": "a dog", "beam_size": 2}, "leave beam_size out"),
    ],
)
def test_what_attend_cannot_do_is_told_even_without_pictures(
    captioner: Captioner, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        captioner.attend([], **options)


def test_an_occlusion_map_is_of_its_own_word(captioner: Captioner, files: list[Path]) -> None:
    sentence = "the dog runs on grass"
    maps = [word.attention for word in captioner.attend(files[0], caption=sentence, method="occlusion").words]
    shorter = captioner.attend(files[0], caption="the dog runs", method="occlusion")
    for word, longer in zip(shorter.words, maps, strict=False):
        np.testing.assert_allclose(word.attention, longer, atol=1e-3)


@pytest.mark.parametrize(
    ("decoder", "pays"), [("lstm", True), ("merge", True), ("transformer", True), ("transformer", False)]
)
def test_an_int8_model_decodes_in_bfloat16_where_that_pays(
    decoder: str,
    pays: bool,
    files: list[Path],
    tiny_checkpoint: Callable[..., Checkpoint],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("capcli.engines.torch_engine.bfloat16_pays", lambda device: pays)
    dataclasses.replace(tiny_checkpoint(decoder), quantized=True).save(tmp_path / "int8.safetensors")
    tiny_checkpoint(decoder).save(tmp_path / "float.safetensors")
    small, whole = (Captioner.load(tmp_path / f"{name}.safetensors", device="cpu") for name in ("int8", "float"))
    fast = "bfloat16" if pays else "float32"
    assert (small.precision, whole.precision) == ((fast, fast), (fast, "float32"))
    attends = small.heads != (0, 0)
    for method in ("occlusion", *(("gradient", "attention") if attends else ())):
        for caption in small.attend(files[:2], method=method, caption="a dog runs"):
            assert all(np.isfinite(word.log_probability) for word in caption.words)
            assert all(word.attention.sum() == pytest.approx(1, abs=1e-3) for word in caption.words)
    for caption in small.attend(files[:2]) if attends else ():
        assert all(word.attention.sum() == pytest.approx(1, abs=1e-3) for word in caption.words)
    arrays = np.stack([small.prepare(file) for file in files])
    words = ["a", "dog", "runs"]
    pruned, full = (captioner.log_probabilities(arrays, words) for captioner in (small, whole))
    assert pruned.dtype == np.float32
    np.testing.assert_allclose(pruned, full, atol=0.5)
    assert all(0 < caption.confidence <= 1 for caption in small.caption(files, sample=True, seed=3))
