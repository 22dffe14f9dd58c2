from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from capcli.errors import ModelError, UsageError
from capcli.model.matcher import Matcher, build_matcher
from capcli.modelfile.checkpoint import Checkpoint
from capcli.modelfile.header import read_header
from capcli.modelfile.layers import layer_weights
from capcli.modelfile.pruning import prune
from capcli.words.vocabulary import END, PAD

TINY = {"width": 8, "embedding": 6, "heads": 2}


@pytest.fixture
def matcher(shaken: Callable[[torch.nn.Module], torch.nn.Module]) -> Matcher:
    return shaken(build_matcher(TINY, 5, 12))  # type: ignore[return-value]


def test_vectors_are_of_length_one(matcher: Matcher) -> None:
    pictures, sentences = matcher.pictures(torch.randn(3, 4, 5)), matcher.embed([[4, 5, 6], [], [7]])
    assert (pictures.shape, sentences.shape) == ((3, 8), (3, 8))
    for vectors in (pictures, sentences):
        torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(3))
    assert matcher.embed([]).shape == (0, 8)


def test_padding_and_end_count_nothing(matcher: Matcher) -> None:
    alone = torch.cat([matcher.sentences(torch.tensor([row])) for row in ([4, 5, 6], [7])])
    together = matcher.sentences(torch.tensor([[4, 5, 6, END, PAD, PAD], [7, END, PAD, PAD, PAD, PAD]]))
    torch.testing.assert_close(together, alone)
    torch.testing.assert_close(matcher.embed([[4, 5, 6], [7]]), alone)


def test_the_order_of_words_counts_and_that_of_regions_does_not(matcher: Matcher) -> None:
    first, second = matcher.embed([[4, 5, 6], [6, 5, 4]])
    assert (first @ second).item() < 0.999
    regions = torch.randn(1, 4, 5)
    torch.testing.assert_close(matcher.pictures(regions[:, [2, 0, 3, 1]]), matcher.pictures(regions))


def test_many_sentences_are_embedded_as_few_are(matcher: Matcher) -> None:
    sentences = [[4 + place % 7, 5 + place % 5] for place in range(1100)]
    found = matcher.embed(sentences)
    torch.testing.assert_close(found[1000:1003], matcher.embed(sentences[1000:1003]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"wdith": 8}, "matcher has no option 'wdith'; near it: width"),
        ({"width": 0}, "matcher: width must be a whole number from 1 to 65536, not 0"),
        ({"dropout": 1.5}, "matcher: dropout must be a number from 0 to 1"),
        ({"width": 9}, "matcher: width 9 is not a multiple of 2"),
        ({"width": 8, "heads": 3}, "matcher: width 8 is not a multiple of heads 3"),
    ],
)
def test_options_that_cannot_be_used(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build_matcher(settings, 5, 12)


@pytest.mark.parametrize(("quantized", "pruned"), [(False, False), (True, False), (False, True)])
def test_a_model_file_holds_its_matcher(
    tiny_checkpoint: Callable[..., Checkpoint], tmp_path: Path, quantized: bool, pruned: bool
) -> None:
    file, checkpoint = tmp_path / "model.safetensors", tiny_checkpoint()
    checkpoint.model.add_matcher(TINY)
    checkpoint.model.eval()
    if pruned:
        prune(checkpoint.model, 0.5)
    checkpoint = Checkpoint(checkpoint.model, checkpoint.options, quantized=quantized, pruned=pruned)
    checkpoint.save(file, torch.float32)
    loaded = Checkpoint.load(file)
    assert loaded.model.config == checkpoint.model.config
    assert loaded.model.matcher is not None and checkpoint.model.matcher is not None
    expected, read = checkpoint.model.matcher.embed([[4, 5]]), loaded.model.matcher.embed([[4, 5]])
    torch.testing.assert_close(read, expected, rtol=0, atol=0.05 if quantized else 1e-6)
    assert (loaded.quantized, loaded.pruned) == (quantized, pruned)
    assert "matcher.states.weight_hh_l0_reverse" in layer_weights(loaded.model)


def test_a_file_of_a_model_without_one_says_nothing_of_it(tiny_file: Path) -> None:
    assert "matcher" not in read_header(tiny_file).described
    assert Checkpoint.load(tiny_file).model.matcher is None


def test_a_stranger_s_matcher_is_checked(tiny_checkpoint: Callable[..., Checkpoint], tmp_path: Path) -> None:
    file, checkpoint = tmp_path / "model.safetensors", tiny_checkpoint()
    checkpoint.model.add_matcher(TINY)
    assert checkpoint.model.config.matcher is not None
    for settings, reason in (({"width": 16}, "do not fit its config"), ({"heads": -1}, "heads must be a whole number")):
        checkpoint.model.config.matcher.update(settings)
        checkpoint.save(file)
        with pytest.raises(ModelError, match=reason):
            Checkpoint.load(file)
