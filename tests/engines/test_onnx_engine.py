from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from capcli.captioner import Captioner
from capcli.decoding.hypothesis import Hypothesis
from capcli.decoding.options import DecodingOptions
from capcli.engines.export import export_graphs
from capcli.engines.graphs import Graphs
from capcli.engines.lanes import Lanes
from capcli.engines.onnx_engine import OnnxEngine
from capcli.engines.torch_engine import TorchEngine
from capcli.model.device import out_of_memory
from capcli.model.encoder import EncoderConfig
from capcli.model.matcher_config import MatcherConfig
from capcli.model.network import CaptioningModel, ModelConfig
from capcli.model.sentence_encoder import SentenceEncoder
from capcli.modelfile.checkpoint import Checkpoint
from capcli.options import build as build_options
from capcli.words.vocabulary import SPECIALS, Vocabulary

WORDS = ("a", "dog", "runs", "on", "the", "grass")
CPU = torch.device("cpu")
PICTURES = np.random.default_rng(3).integers(0, 256, (5, 32, 32, 3), np.uint8)
OPTIONS = DecodingOptions(beam_size=3, num_captions=2, max_length=6, no_repeat_ngram=2)


def engines(checkpoint: Checkpoint) -> tuple[OnnxEngine, TorchEngine]:
    """The same model in both, the graphs having been in a file."""
    graphs = Graphs.from_bytes(export_graphs(checkpoint.model).to_bytes())
    weights = {name: value.numpy().copy() for name, value in checkpoint.model.state_dict().items()}
    in_torch = TorchEngine(checkpoint, CPU, exact=True)

    def sentences() -> SentenceEncoder:
        assert checkpoint.model.config.matcher is not None
        config = build_options(MatcherConfig, checkpoint.model.config.matcher)
        state = {name.removeprefix("matcher."): value for name, value in weights.items() if name.startswith("matcher.")}
        return SentenceEncoder(config, checkpoint.model.vocabulary, state)

    return OnnxEngine(graphs, weights, lambda: in_torch, sentences), in_torch


@pytest.fixture
def build(shaken: Any) -> Callable[..., Checkpoint]:
    """Builds a model of an encoder, a decoder and perhaps a matcher."""

    def build(encoder: str, decoder: dict[str, Any], matcher: dict[str, Any] | None = None) -> Checkpoint:
        torch.manual_seed(0)
        words = Vocabulary([*SPECIALS, *WORDS])
        model = CaptioningModel(ModelConfig(EncoderConfig(encoder, 32), decoder, matcher), words).eval()
        shaken(model.decoder)
        return Checkpoint(model, OPTIONS)

    return build


def same(found: list[list[Hypothesis]], expected: list[list[Hypothesis]]) -> None:
    """Asserts that captions, their probabilities and their attention are the same."""
    assert [[h.tokens for h in beam] for beam in found] == [[h.tokens for h in beam] for beam in expected]
    for a, b in zip((h for beam in found for h in beam), (h for beam in expected for h in beam), strict=True):
        np.testing.assert_allclose(a.log_probabilities, b.log_probabilities, rtol=1e-3, atol=1e-4)
        assert (a.end_log_probability is None) == (b.end_log_probability is None)
        for mine, theirs in ((a.attention, b.attention), (a.sentinel, b.sentinel)):
            assert (mine is None) == (theirs is None)
            if mine is not None and theirs is not None:
                np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-4)


def test_every_decoder_says_in_onnx_what_it_says_in_torch(build: Any, variant: dict[str, Any]) -> None:
    onnx, in_torch = engines(build("squeezenet1_1", variant))
    assert (onnx.grid, onnx.box, onnx.heads, onnx.size) == (in_torch.grid, in_torch.box, in_torch.heads, 32)
    assert onnx.longest == in_torch.longest
    # Of other numbers of pictures and of beams than the graphs were made with.
    for pictures in (PICTURES, PICTURES[:1]):
        regions, expected = onnx.encode(pictures), in_torch.encode(pictures)
        np.testing.assert_allclose(regions, expected.numpy(), rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(onnx.means(regions), in_torch.means(expected), rtol=1e-3, atol=1e-4)
        for beams in (1, 3):
            options = OPTIONS.replace(beam_size=beams, num_captions=min(2, beams))
            same(onnx.decode(regions, options), in_torch.decode(expected, options))
    captions = [[4, 5, 6], [7], [4, 4, 5, 8, 9]]
    traced = onnx.trace(onnx.encode(PICTURES[:3]), captions)
    for mine, theirs in zip(traced, in_torch.trace(in_torch.encode(PICTURES[:3]), captions), strict=True):
        for name in ("log_probabilities", "attention", "sentinel"):
            found, reference = getattr(mine, name), getattr(theirs, name)
            assert (found is None) == (reference is None)
            if found is not None:
                np.testing.assert_allclose(found, reference, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("encoder", ["mobilenet_v3_small", "resnet18", "shufflenet_v2_x0_5"])
@pytest.mark.slow
def test_encoders_of_every_kind_see_the_same(build: Any, tiny_settings: Any, encoder: str) -> None:
    onnx, in_torch = engines(build(encoder, tiny_settings("inject")))
    expected = in_torch.encode(PICTURES).numpy()
    np.testing.assert_allclose(onnx.encode(PICTURES), expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


@pytest.fixture(scope="module")
def matching(tiny_settings: Any) -> tuple[OnnxEngine, TorchEngine]:
    torch.manual_seed(0)
    words = Vocabulary([*SPECIALS, *WORDS])
    config = ModelConfig(EncoderConfig("squeezenet1_1", 32), tiny_settings("transformer"), {"width": 8, "heads": 2})
    return engines(Checkpoint(CaptioningModel(config, words).eval(), OPTIONS))


def test_pictures_and_sentences_have_the_same_vectors(matching: tuple[OnnxEngine, TorchEngine]) -> None:
    onnx, in_torch = matching
    assert onnx.matches
    found, expected = onnx.picture_vectors(onnx.encode(PICTURES)), in_torch.picture_vectors(in_torch.encode(PICTURES))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)
    sentences = [[4, 5], [6, 7, 8]]
    np.testing.assert_allclose(onnx.sentence_vectors(sentences), in_torch.sentence_vectors(sentences), atol=1e-6)


@pytest.mark.parametrize("options", [{"sample": True}, {"rerank": 5.0}, {"rerank": 5.0, "num_captions": 1}])
def test_samples_and_captions_that_are_reranked_are_the_same(
    matching: tuple[OnnxEngine, TorchEngine], options: dict[str, Any]
) -> None:
    onnx, in_torch = matching
    chosen = OPTIONS.replace(**options)
    mine = onnx.decode(onnx.encode(PICTURES), chosen, seeds=range(5))
    same(mine, in_torch.decode(in_torch.encode(PICTURES), chosen, seeds=range(5)))


def test_gradients_are_those_of_torch(matching: tuple[OnnxEngine, TorchEngine]) -> None:
    onnx, in_torch = matching
    captions = [[4, 5, 6]] * len(PICTURES)
    mine = onnx.trace(onnx.encode(PICTURES), captions, gradients=True)
    theirs = in_torch.trace(in_torch.encode(PICTURES), captions, gradients=True)
    for found, expected in zip(mine, theirs, strict=True):
        assert found.relevance is not None and expected.relevance is not None
        np.testing.assert_allclose(found.relevance, expected.relevance, rtol=1e-2, atol=1e-5)


def test_rows_may_go_to_other_pictures(build: Any, tiny_settings: Any, variant: dict[str, Any]) -> None:
    """A beam search never asks that; whoever does gets what the decoder would give."""
    onnx, in_torch = engines(build("squeezenet1_1", variant))
    speaker, decoder = onnx.speaker, in_torch._decoder
    regions = onnx.encode(PICTURES[:3])
    index, tokens = np.array([2, 0, 0, 1]), np.array([4, 5, 6, 7])
    state = speaker.reorder(speaker.start(regions), np.array([0, 0, 1, 1, 2, 2]))
    _, _, state = speaker.step(np.array([4, 5, 6, 7, 8, 9]), state)
    found, _, _ = speaker.step(tokens, speaker.reorder(state, index * 2))
    with torch.no_grad():
        held = decoder.begin(torch.from_numpy(regions), 2)
        _, _, held = decoder.step(torch.tensor([4, 5, 6, 7, 8, 9]), held)
        expected, _, _ = decoder.step(torch.from_numpy(tokens), decoder.reorder(held, torch.from_numpy(index * 2)))
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_lanes_say_what_one_says(
    build: Any, variant: dict[str, Any], monkeypatch: pytest.MonkeyPatch, lanes: list[int]
) -> None:
    checkpoint = build("squeezenet1_1", variant)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    alone, _ = engines(checkpoint)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    several, _ = engines(checkpoint)
    lanes.clear()  # of making it
    captions = [[4, 5, 6], [7], [4, 4, 5], [6], [8, 9]]
    expected = alone.encode(PICTURES)
    for pictures in (PICTURES[:1], PICTURES, PICTURES[:1], PICTURES[1:]):
        np.testing.assert_allclose(several.encode(pictures), alone.encode(pictures), rtol=1e-5, atol=1e-5)
    assert lanes == [2, 2]
    for state in (None, several.start(expected)):
        same(several.decode(expected, OPTIONS, state=state), alone.decode(expected, OPTIONS))
        traced = zip(several.trace(expected, captions, state=state), alone.trace(expected, captions), strict=True)
        for mine, theirs in traced:
            np.testing.assert_allclose(mine.log_probabilities, theirs.log_probabilities, rtol=1e-3, atol=1e-4)
    assert lanes == [2] * 6


@pytest.fixture
def lanes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many lanes were at work each time that there were several."""
    counts = []
    real = Lanes.each

    def count_lanes(self: Lanes, work: Any, parts: Any, lanes: int) -> Any:
        counts.extend([lanes] * (lanes > 1))
        return real(self, work, parts, lanes)

    monkeypatch.setattr(Lanes, "each", count_lanes)
    return counts


def test_a_captioner_is_the_same_with_either(build: Any, tiny_settings: Any) -> None:
    checkpoint = build("squeezenet1_1", tiny_settings("transformer"))
    onnx, in_torch = (Captioner(engine, checkpoint.manner, "tiny") for engine in engines(checkpoint))
    assert (onnx.engine, onnx.device, onnx.precision) == ("onnx", "cpu", ("float32", "float32"))
    for method in ("attention", "gradient", "occlusion"):
        found, expected = (captioner.attend_arrays(PICTURES, method=method) for captioner in (onnx, in_torch))
        assert [caption.text for caption in found] == [caption.text for caption in expected]
        for mine, theirs in zip(found, expected, strict=True):
            for word, same_word in zip(mine.words, theirs.words, strict=True):
                np.testing.assert_allclose(word.attention, same_word.attention, rtol=2e-2, atol=1e-3)
    given = [
        captioner.attend_arrays(PICTURES[:1], caption="a dog runs", method="attention")[0]
        for captioner in (onnx, in_torch)
    ]
    assert given[0].confidence == pytest.approx(given[1].confidence, abs=1e-4)


def test_memory_that_is_too_small_is_known() -> None:
    message = "bfc_arena.cc:376 Failed to allocate memory for requested buffer of size 411041792"
    assert out_of_memory(RuntimeError(message)) and out_of_memory(MemoryError())
    assert not out_of_memory(RuntimeError("shapes do not fit"))


def test_graphs_are_the_same_bytes_each_time(build: Any, tiny_settings: Any) -> None:
    checkpoint = build("squeezenet1_1", tiny_settings("gru"))
    exported = export_graphs(checkpoint.model).to_bytes()
    assert exported == export_graphs(checkpoint.model).to_bytes()
    # They hold no weights, so a model of other weights has the same ones.
    other = dataclasses.replace(checkpoint, model=CaptioningModel(checkpoint.model.config, checkpoint.model.vocabulary))
    assert exported == export_graphs(other.model).to_bytes()


def test_the_model_stays_as_it_is(build: Any, tiny_settings: Any) -> None:
    checkpoint = build("squeezenet1_1", tiny_settings("lstm"))
    before = {name: value.clone() for name, value in checkpoint.model.state_dict().items()}
    export_graphs(checkpoint.model)
    assert type(checkpoint.model.decoder.cell) is torch.nn.LSTMCell
    for name, value in checkpoint.model.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x05\x06" + bytes(18), Path(__file__).read_bytes()])
def test_what_are_no_graphs(content: bytes) -> None:
    with pytest.raises(ValueError, match="no graphs"):
        Graphs.from_bytes(content)
