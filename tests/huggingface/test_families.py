"""Every family of Hugging Face captioners, as a tiny checkpoint that is loaded the way of a real one."""

from __future__ import annotations

import dataclasses
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from tiny_families import families, save_tiny

from capcli.arrays import UInt8Array
from capcli.captioner import Captioner
from capcli.errors import UsageError
from capcli.hub.families import FAMILIES
from capcli.huggingface import engine, loading
from capcli.huggingface.asking import generate
from capcli.huggingface.captioner import HuggingFaceCaptioner
from capcli.words.tokens import tokenize

KINDS = tuple(families())

ATTENDING = tuple(kind for kind in KINDS if FAMILIES[kind].attends)

Loader = Callable[[str], HuggingFaceCaptioner]

# One family after the other, so that of two processes that share the tests each loads half of the models.
each_kind = pytest.mark.parametrize("kind", KINDS, scope="module")


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loader]:
    """Loads the tiny model of a family, each once, in float32, with the network forbidden."""
    loaded: dict[str, HuggingFaceCaptioner] = {}
    root = tmp_path_factory.mktemp("families")

    def forbidden(*where: object, **how: object) -> None:
        raise AssertionError(f"the network was asked for {where}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(root / "data"))
        patch.setattr(loading, "bfloat16_pays", lambda device: False)
        patch.setattr(socket.socket, "connect", forbidden)

        def load(kind: str) -> HuggingFaceCaptioner:
            if kind not in loaded:
                captioner = Captioner.load(save_tiny(kind, root / kind), device="cpu")
                assert isinstance(captioner, HuggingFaceCaptioner)
                loaded[kind] = captioner
            return loaded[kind]

        yield load


@pytest.fixture(scope="module")
def pictures() -> list[UInt8Array]:
    """Four pictures of three shapes."""
    noise = np.random.default_rng(0)
    return [noise.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in ((40, 60), (60, 40), (40, 60), (33, 33))]


def test_there_is_a_tiny_model_of_every_family() -> None:
    # SmolVLM's first checkpoints have the name of the model that it was made from.
    assert {*KINDS, "idefics3"} == set(FAMILIES)


@pytest.mark.slow
@each_kind
def test_captions_are_the_same_alone_and_in_a_batch(kind: str, load: Loader, pictures: list[UInt8Array]) -> None:
    captioner = load(kind)
    together = captioner.caption(pictures, max_length=5)
    alone = [captioner.caption(picture, max_length=5) for picture in pictures]
    assert [caption.text for caption in together] == [caption.text for caption in alone]
    for caption, other in zip(together, alone, strict=True):
        assert 1 <= len(caption.words) <= 5
        assert [word.text for word in caption.words] == tokenize(caption.text)
        assert 0 < caption.confidence < 1
        np.testing.assert_allclose(caption.confidence, other.confidence, rtol=1e-3)
    assert len({caption.confidence for caption in together}) == 4, "the pictures make no difference"


@each_kind
@pytest.mark.parametrize("options", [{"beam_size": 1}, {"beam_size": 3}, {"sample": True, "top_k": 5}], ids=str)
def test_log_probabilities_of_the_search_are_those_of_another_pass(
    kind: str, options: dict[str, Any], load: Loader, pictures: list[UInt8Array]
) -> None:
    """A pass over the whole caption at once is computed otherwise than the steps of a search."""
    captioner = load(kind)
    batch = np.stack([captioner.prepare(picture) for picture in pictures[::2]])
    chosen = captioner.options.replace(max_length=5, **options)
    found = captioner.captioned(batch, chosen)
    asked = captioner.engine.ask(batch, chosen)
    rescored = captioner.engine.look(asked, [sequence.ids for _, sequence in found])
    for (_, sequence), looked in zip(found, rescored, strict=True):
        np.testing.assert_allclose(sequence.logs, looked.log_probabilities[:-1], atol=2e-3)
        if sequence.end is not None:
            np.testing.assert_allclose(sequence.end, looked.log_probabilities[-1], atol=2e-3)


@each_kind
def test_captions_are_those_of_a_plain_script(kind: str, load: Loader, pictures: list[UInt8Array]) -> None:
    captioner = load(kind)
    loaded = captioner.engine.loaded
    batch = np.stack([captioner.prepare(pictures[3])])
    asked = captioner.engine.ask(batch, captioner.options)
    generated = generate(loaded, kind, asked, max_new_tokens=9, min_new_tokens=8, num_beams=1, do_sample=False)
    new = [token for token in generated[0].tolist() if token not in loaded.tokenizer.all_special_ids][-6:]
    ((_, sequence),) = captioner.captioned(batch, captioner.options.replace(beam_size=1, min_length=8))
    assert " ".join(map(str, new[:4])) in " ".join(map(str, sequence.ids))


@each_kind
def test_every_method_makes_maps(kind: str, load: Loader, pictures: list[UInt8Array]) -> None:
    captioner = load(kind)
    texts = []
    for method in captioner.methods:
        caption = captioner.attend(pictures[0], method=method, max_length=4)
        texts.append(caption.text)
        for word in caption.words:
            assert word.attention is not None and word.attention.shape == captioner.grid
            assert (word.attention >= 0).all()
            np.testing.assert_allclose(word.attention.sum(), 1, rtol=1e-4)
    assert len(set(texts)) == 1
    assert captioner.methods == FAMILIES[kind].methods
    if not FAMILIES[kind].attends:
        with pytest.raises(UsageError, match=r"has no attention to show; .* the method occlusion"):
            captioner.attend(pictures[0])


@pytest.mark.parametrize("kind", ["vision-encoder-decoder", "florence2"])
def test_attention_is_what_generate_tells(kind: str, load: Loader, pictures: list[UInt8Array]) -> None:
    captioner = load(kind)
    batch = np.stack([captioner.prepare(pictures[0])])
    chosen = captioner.options.replace(max_length=4, beam_size=1)
    ((_, sequence),) = captioner.captioned(batch, chosen)
    asked = captioner.engine.ask(batch, chosen)
    (looked,) = captioner.engine.look(asked, [sequence.ids], attention=True)
    model = captioner.model
    model.set_attn_implementation("eager")
    try:
        generated = generate(
            captioner.engine.loaded, kind, asked, max_new_tokens=12, num_beams=1, do_sample=False,
            output_attentions=True, return_dict_in_generate=True,
        )  # fmt: skip
    finally:
        model.set_attn_implementation("sdpa")
    plain = generated.sequences[0, 1:].tolist()
    first = 0
    alike = min(len(sequence.ids), len(generated.cross_attentions) - first)
    alike = next((place for place in range(alike) if plain[first + place] != sequence.ids[place]), alike)
    assert alike >= 3
    for place in range(alike):
        layers = torch.stack([layer[0, :, -1] for layer in generated.cross_attentions[first + place]])
        np.testing.assert_allclose(looked.attention[place], layers.mean((0, 1)), atol=1e-5)


@pytest.mark.parametrize("kind", ATTENDING, scope="module")
def test_relevance_is_the_gradient_by_small_steps(kind: str, load: Loader, pictures: list[UInt8Array]) -> None:
    """Only where a weight is worth something to its word does the map lie."""
    captioner = load(kind)
    batch = np.stack([captioner.prepare(pictures[0])])
    chosen = captioner.options.replace(max_length=4)
    ((_, sequence),) = captioner.captioned(batch, chosen)
    asked = captioner.engine.ask(batch, chosen)
    plain, with_gradients = (
        captioner.engine.look(asked, [sequence.ids], attention=True, gradients=wanted)[0] for wanted in (False, True)
    )
    np.testing.assert_allclose(plain.log_probabilities, with_gradients.log_probabilities, atol=1e-4)
    np.testing.assert_allclose(plain.attention, with_gradients.attention, atol=1e-5)
    assert with_gradients.relevance is not None and (with_gradients.relevance >= 0).all()
    assert with_gradients.relevance.sum() > 0


def test_attention_is_fused_but_where_maps_are_asked_for(load: Loader, pictures: list[UInt8Array]) -> None:
    captioner = load("vision-encoder-decoder")
    assert captioner.model.config._attn_implementation == "sdpa"
    captioner.attend(pictures[0], max_length=3, method="attention")
    assert captioner.model.config._attn_implementation == "sdpa"


@each_kind
def test_a_sentence_of_the_users_own_has_maps_and_probabilities(
    kind: str, load: Loader, pictures: list[UInt8Array]
) -> None:
    captioner = load(kind)
    caption = captioner.attend(pictures[0], caption="A dog's ball runs!", method="occlusion")
    assert [word.text for word in caption.words] == ["a", "dog", "'s", "ball", "runs"]
    log_probabilities = captioner.log_probabilities(
        captioner.prepare(pictures[0])[None], ["a", "dog", "'s", "ball", "runs"]
    )
    np.testing.assert_allclose([word.log_probability for word in caption.words], log_probabilities[0, :-1], atol=1e-3)
    assert log_probabilities.shape == (1, 6) and (log_probabilities <= 0).all()
    for arrays in (np.zeros((0, 32, 32, 3), np.uint8), np.zeros((1, 9999, 8, 3), np.uint8), np.zeros((1, 64, 64, 3))):
        with pytest.raises(UsageError, match="pictures are a uint8 array of shape"):
            captioner.log_probabilities(arrays, ["a"])


@each_kind
def test_draws_depend_on_picture_and_seed_alone(kind: str, load: Loader, pictures: list[UInt8Array]) -> None:
    captioner = load(kind)
    how: dict[str, Any] = {"sample": True, "max_length": 4}
    together = [caption.text for caption in captioner.caption(pictures, seed=1, **how)]
    assert together == [captioner.caption(picture, seed=1, **how).text for picture in pictures]
    assert together != [caption.text for caption in captioner.caption(pictures, seed=2, **how)]


def test_draws_are_drawn_by_probability(load: Loader, pictures: list[UInt8Array]) -> None:
    captioner = load("blip")
    batch = captioner.prepare(pictures[0])[None]
    asked = captioner.engine.ask(batch, captioner.options)
    from capcli.huggingface.limits import Draw

    scores = torch.log_softmax(torch.tensor([[2.0, 1.0, 0.0, -1.0]]), -1).repeat(4000, 1)
    drawn = Draw(range(4000))(asked.head, scores).argmax(-1)
    shares = torch.bincount(drawn, minlength=4) / 4000
    np.testing.assert_allclose(shares, scores[0].exp(), atol=0.03)


@each_kind
@pytest.mark.parametrize("options", [{}, {"sample": True, "seed": 3}, {"beam_size": 3}], ids=str)
def test_lengths_are_in_words(kind: str, options: dict[str, Any], load: Loader, pictures: list[UInt8Array]) -> None:
    captioner = load(kind)
    for caption in captioner.caption(pictures[:2], min_length=2, max_length=3, **options):
        assert len(caption.words) <= 3
        # A single word may fill all tokens that there are for three.
        assert len(caption.words) >= 2 or len(caption.text) > 20


@each_kind
def test_several_captions_differ_and_the_best_is_first(kind: str, load: Loader, pictures: list[UInt8Array]) -> None:
    best = load(kind).caption(pictures[0], num_captions=3, beam_size=2, max_length=4, length_penalty=1.0)
    texts = [best.text, *(alternative.text for alternative in best.alternatives)]
    assert len(texts) == len(set(texts)) <= 3
    drawn = load(kind).caption(pictures[0], num_captions=3, max_length=4, sample=True)
    assert len(drawn.alternatives) >= 1


@pytest.mark.parametrize("kind", ["blip", "git"])
def test_a_prefix_begins_every_caption(kind: str, load: Loader, pictures: list[UInt8Array]) -> None:
    captioner = load(kind)
    for caption in captioner.caption(pictures[:2], prefix="a dog", max_length=5):
        assert [word.text for word in caption.words[:2]] == ["a", "dog"]
        assert all(word.log_probability < 0 for word in caption.words)
    with pytest.raises(UsageError, match=r"(BLIP|GIT) is asked nothing"):
        captioner.caption(pictures[0], prompt="what is this?")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if FAMILIES[kind].prompt is not None])
def test_a_prompt_changes_what_is_asked(kind: str, load: Loader, pictures: list[UInt8Array]) -> None:
    captioner = load(kind)
    usual = captioner.caption(pictures[0], max_length=4)
    other = captioner.caption(pictures[0], max_length=4, prompt="is the dog near the red car")
    assert usual.confidence != other.confidence
    with pytest.raises(UsageError, match="leave --prefix out"):
        captioner.caption(pictures[0], prefix="a dog")


def test_options_that_transformers_lacks_are_refused(load: Loader, pictures: list[UInt8Array]) -> None:
    captioner = load("git")
    for option, value in {"no_repeat_ngram": 3, "rerank": 1.0}.items():
        with pytest.raises(UsageError, match=f"has no {option.replace('_', '-')}; leave it out"):
            captioner.caption(pictures[0], **{option: value})  # type: ignore[call-overload]
    with pytest.raises(UsageError, match="has no matcher"):
        captioner.sentence_vectors(["a dog"])
    with pytest.raises(UsageError, match="has no matcher"):
        captioner.similarities(pictures[0], "a dog")
    with pytest.raises(UsageError, match="keywords"):
        captioner.caption(pictures[0], keywords=3)


def test_half_precision_is_computed_where_the_hardware_has_it(
    load: Loader, monkeypatch: pytest.MonkeyPatch, pictures: list[UInt8Array]
) -> None:
    folder = load("blip").repository.folder
    monkeypatch.setattr(loading, "bfloat16_pays", lambda device: True)
    captioner = Captioner.load(folder, device="cpu")
    assert isinstance(captioner, HuggingFaceCaptioner)
    assert captioner.precision == "bfloat16"
    assert captioner.model.dtype == torch.bfloat16
    assert captioner.caption(pictures[0], max_length=3).words


def test_a_batch_that_does_not_fit_is_halved(
    load: Loader, monkeypatch: pytest.MonkeyPatch, pictures: list[UInt8Array]
) -> None:
    captioner = load("blip")
    usual = [caption.text for caption in captioner.caption(pictures, max_length=4)]
    sizes = []

    def short(loaded: Any, kind: str, asked: Any, **how: Any) -> Any:
        sizes.append(len(asked.head))
        if len(asked.head) > 1:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return generate(loaded, kind, asked, **how)

    monkeypatch.setattr(engine, "generate", short)
    monkeypatch.setattr(captioner, "fits", None)
    assert [caption.text for caption in captioner.caption(pictures, max_length=4)] == usual
    assert sizes[0] == 4 and captioner.fits == 1


def test_the_network_is_forbidden_to_the_libraries(load: Loader) -> None:
    load("git")
    assert os.environ["HF_HUB_OFFLINE"] == "1"


def test_the_model_says_what_it_is(load: Loader) -> None:
    captioner = load("florence2")
    assert captioner.name == "florence2"
    assert (captioner.size, captioner.keeps_proportions, captioner.grid) == (64, False, (2, 2))
    assert captioner.options.beam_size == 3
    assert dataclasses.replace(captioner.options, beam_size=1).max_length == 40
    assert load("git").keeps_proportions and load("qwen2_vl").keeps_proportions
