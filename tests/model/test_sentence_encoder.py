"""Vectors of sentences without torch are those that torch computes."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from capcli.captioner import Captioner
from capcli.errors import ModelError
from capcli.model.matcher import build_matcher
from capcli.model.matcher_config import MatcherConfig
from capcli.model.sentence_encoder import SentenceEncoder, weight_shapes
from capcli.modelfile.checkpoint import Checkpoint, write_safetensors
from capcli.modelfile.pruning import prune
from capcli.modelfile.sentences import read_sentence_encoder
from capcli.words.vocabulary import SPECIALS, Vocabulary

TINY = {"width": 8, "embedding": 6, "heads": 2}
WORDS = ("a", "dog", "cat", "runs", "on", "grass", "the", "'s")
SENTENCES = ("A dog runs.", "the cat's grass", "", "xyzzy", "a", " ".join(WORDS * 9))


@pytest.mark.parametrize("settings", [TINY, {"width": 6, "embedding": 16, "heads": 1}])
def test_it_computes_what_torch_computes(
    shaken: Callable[[torch.nn.Module], torch.nn.Module], settings: dict[str, object]
) -> None:
    vocabulary = Vocabulary([*SPECIALS, *WORDS])
    matcher = shaken(build_matcher(settings, 5, len(vocabulary))).eval()
    state = {name: tensor.numpy() for name, tensor in matcher.state_dict().items()}
    config = MatcherConfig(**settings)  # type: ignore[arg-type]
    encoder = SentenceEncoder(config, vocabulary, {name: state[name] for name in weight_shapes(config, 12)})
    sentences = ["a dog runs", "a dog", "", "xyzzy", "the cat's grass on the dog's grass"]
    words = [vocabulary.encode(sentence.replace("'s", " 's").split()) for sentence in sentences]
    with torch.inference_mode():
        expected = matcher.embed(words).numpy()  # type: ignore[operator]
    np.testing.assert_allclose(encoder.sentence_vectors(sentences), expected, rtol=0, atol=1e-6)
    assert encoder.find_unknown(["dog", "xyzzy"]) == ["xyzzy"]


def test_many_sentences_of_any_length_have_the_vectors_that_each_has_alone(
    shaken: Callable[[torch.nn.Module], torch.nn.Module],
) -> None:
    vocabulary = Vocabulary([*SPECIALS, *WORDS])
    state = shaken(build_matcher(TINY, 5, len(vocabulary))).eval().state_dict()
    weights = {name: state[name].numpy() for name in weight_shapes(MatcherConfig(**TINY), 12)}  # type: ignore[arg-type]
    encoder = SentenceEncoder(MatcherConfig(**TINY), vocabulary, weights)  # type: ignore[arg-type]
    chance = random.Random(1)
    sentences = [" ".join(chance.choices(WORDS, k=chance.randrange(30))) for _ in range(200)]
    alone = np.concatenate([encoder.sentence_vectors([sentence]) for sentence in sentences])
    np.testing.assert_allclose(encoder.sentence_vectors(sentences), alone, rtol=0, atol=1e-6)
    assert encoder.sentence_vectors([]).shape == (0, 8)


@pytest.fixture
def matching_file(tiny_checkpoint: Callable[..., Checkpoint], tmp_path: Path) -> Callable[..., Path]:
    def save(dtype: torch.dtype = torch.float16, *, quantized: bool = False, pruned: bool = False) -> Path:
        checkpoint, file = tiny_checkpoint(), tmp_path / "model.safetensors"
        checkpoint.model.add_matcher(TINY)
        checkpoint.model.eval()
        if pruned:
            prune(checkpoint.model, 0.5)
        Checkpoint(checkpoint.model, checkpoint.options, quantized=quantized, pruned=pruned).save(file, dtype)
        return file

    return save


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
@pytest.mark.parametrize(("quantized", "pruned"), [(False, False), (True, False), (True, True)])
def test_a_file_gives_the_vectors_of_the_whole_model(
    matching_file: Callable[..., Path], dtype: torch.dtype, quantized: bool, pruned: bool
) -> None:
    file = matching_file(dtype, quantized=quantized, pruned=pruned)
    encoder = read_sentence_encoder(file)
    assert encoder is not None
    expected = Captioner.load(file, "cpu").sentence_vectors(SENTENCES)
    np.testing.assert_allclose(encoder.sentence_vectors(SENTENCES), expected, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_base_gives_the_vectors_of_the_whole_model() -> None:
    sentences = ["Two dogs run on a beach.", "a man's red umbrella", "", "xyzzy plugh", "the " * 40 + "end"]
    encoder = read_sentence_encoder("base")
    assert encoder is not None
    expected = Captioner.load("base", "cpu").sentence_vectors(sentences)
    np.testing.assert_allclose(encoder.sentence_vectors(sentences), expected, rtol=0, atol=1e-5)


def test_a_file_that_numpy_cannot_read_or_without_a_matcher_gives_none(
    matching_file: Callable[..., Path], tiny_file: Path
) -> None:
    assert read_sentence_encoder(matching_file(torch.bfloat16)) is None
    assert read_sentence_encoder(tiny_file) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop("matcher.sentence.bias"), "it lacks 'matcher.sentence.bias'"),
        (lambda tensors: tensors.update({"matcher.sentence.bias": torch.zeros(9)}), r"is \(9,\), not \(8,\)"),
        (lambda tensors: tensors.update({"matcher.sentence.bias": torch.full((8,), torch.nan)}), "not finite"),
        (lambda tensors: tensors.update({"matcher.sentence.bias": torch.zeros(8).int()}), "is of type I32"),
    ],
)
def test_a_stranger_s_weights_are_checked(
    matching_file: Callable[..., Path], change: Callable[[dict[str, torch.Tensor]], object], message: str
) -> None:
    from safetensors import safe_open

    file = matching_file()
    with safe_open(file, "pt") as content:
        tensors, metadata = {name: content.get_tensor(name) for name in content.keys()}, content.metadata()  # noqa: SIM118
    change(tensors)
    write_safetensors(file, tensors, metadata)
    with pytest.raises(ModelError, match=message):
        read_sentence_encoder(file)
