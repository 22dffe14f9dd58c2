"""The contract of `Decoder`, kept by every decoder in the registry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from capcli.errors import UsageError
from capcli.model.decoder import Decoder, build_decoder, decoder_config, decoders
from capcli.model.vocabulary import START

B, R, D, V, T = 2, 6, 10, 13, 5
Settings = Callable[..., dict[str, Any]]


@pytest.fixture(params=sorted(decoders()))
def decoder(request: pytest.FixtureRequest, tiny_settings: Settings, shaken: Callable[..., Any]) -> Decoder:
    return shaken(build_decoder(tiny_settings(request.param), D, R, V))


@pytest.fixture
def regions() -> Tensor:
    return torch.randn(B, R, D, generator=torch.Generator().manual_seed(1))


def captions(rows: int, steps: int = T) -> Tensor:
    words = torch.randint(4, V, (rows, steps), generator=torch.Generator().manual_seed(2))
    words[:, 0] = START
    return words


def stepwise(decoder: Decoder, state: Any, words: Tensor) -> tuple[Tensor, Tensor | None, Any]:
    log_probabilities, attention = [], []
    for tokens in words.unbind(1):
        log, weights, state = decoder.step(tokens, state)
        log_probabilities.append(log)
        attention.append(weights)
    seen = None if attention[0] is None else torch.stack(attention, 1)
    return torch.stack(log_probabilities, 1), seen, state


def assert_same(one: tuple[Tensor, Tensor | None], other: tuple[Tensor, Tensor | None]) -> None:
    torch.testing.assert_close(one[0], other[0], rtol=1e-4, atol=1e-4)
    assert (one[1] is None) == (other[1] is None)
    if one[1] is not None:
        torch.testing.assert_close(one[1], other[1], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_fresh_state_has_one_row_for_each_picture(decoder: Decoder, regions: Tensor) -> None:
    words = captions(B)
    log_probabilities, attention, _ = stepwise(decoder, decoder.start(regions), words)
    assert_same((log_probabilities, attention), decoder(regions, words))


@pytest.mark.parametrize("count", [1, 3])
@torch.no_grad()
def test_step_by_step_equals_teacher_forcing(decoder: Decoder, regions: Tensor, count: int) -> None:
    words = captions(B * count)
    state = decoder.reorder(decoder.start(regions), torch.arange(B).repeat_interleave(count))
    log_probabilities, attention, _ = stepwise(decoder, state, words)
    assert log_probabilities.shape == (B * count, T, V)
    assert_same((log_probabilities, attention), decoder(regions, words))


@torch.no_grad()
def test_captions_of_one_picture_do_not_touch_each_other(decoder: Decoder, regions: Tensor) -> None:
    words = captions(B * 3)
    together, seen = decoder(regions, words)
    for row in range(B * 3):
        alone = decoder(regions[row // 3 : row // 3 + 1], words[row : row + 1])
        assert_same((together[row : row + 1], None if seen is None else seen[row : row + 1]), alone)


@torch.no_grad()
def test_a_word_is_predicted_from_those_before_it_alone(decoder: Decoder, regions: Tensor) -> None:
    words = captions(B)
    changed = words.clone()
    changed[:, 3] = 4 + (words[:, 3] - 3) % (V - 4)
    one, other = decoder(regions, words)[0], decoder(regions, changed)[0]
    torch.testing.assert_close(one[:, :3], other[:, :3])
    assert not torch.allclose(one[:, 3:], other[:, 3:], atol=1e-3)


@pytest.mark.parametrize(
    "index",
    [
        [0, 1, 2, 3, 4, 5],
        [2, 1, 0, 5, 4, 3],
        [0, 0, 1, 5, 5, 5],
        [5, 4, 3, 2, 1, 0],
        [3, 4, 5],
        [1],
        [5, 0],
        [2, 2, 2, 2, 2, 2, 2],
        [0, 3, 1, 4, 2, 5, 0, 3],
    ],
)
@torch.no_grad()
def test_reorder_permutes_repeats_and_drops_rows(decoder: Decoder, regions: Tensor, index: list[int]) -> None:
    rows = torch.tensor(index)
    words = captions(B * 3)
    state = decoder.reorder(decoder.start(regions), torch.arange(B).repeat_interleave(3))
    _, _, state = stepwise(decoder, state, words[:, :3])
    log_probabilities, attention, state = stepwise(decoder, decoder.reorder(state, rows), words[rows, 3:4])
    assert_same(
        (log_probabilities[:, 0], None if attention is None else attention[:, 0]),
        _last(decoder, regions[rows // 3], words[rows, :4]),
    )
    again = torch.tensor([len(index) - 1, 0])
    log_probabilities, attention, _ = stepwise(decoder, decoder.reorder(state, again), words[rows[again], 4:])
    assert_same(
        (log_probabilities[:, 0], None if attention is None else attention[:, 0]),
        _last(decoder, regions[rows[again] // 3], words[rows[again]]),
    )


def _last(decoder: Decoder, regions: Tensor, words: Tensor) -> tuple[Tensor, Tensor | None]:
    log_probabilities, attention = decoder(regions, words)
    return log_probabilities[:, -1], None if attention is None else attention[:, -1]


@torch.no_grad()
def test_a_state_can_be_stepped_from_twice(decoder: Decoder, regions: Tensor) -> None:
    _, _, state = stepwise(decoder, decoder.start(regions), captions(B, 2))
    first = decoder.step(torch.tensor([5, 6]), state)
    decoder.step(torch.tensor([7, 8]), first[2])
    second = decoder.step(torch.tensor([5, 6]), state)
    assert torch.equal(first[0], second[0])


@torch.no_grad()
def test_probabilities_and_attention_sum_to_one(decoder: Decoder, regions: Tensor) -> None:
    log_probabilities, attention = decoder(regions, captions(B))
    assert log_probabilities.dtype == torch.float32
    torch.testing.assert_close(log_probabilities.exp().sum(-1), torch.ones(B, T))
    assert attention is not None
    assert attention.shape == (B, T, R)
    assert (attention >= 0).all()
    torch.testing.assert_close(attention.sum(-1), torch.ones(B, T))


def test_every_weight_takes_part_in_training(decoder: Decoder, regions: Tensor) -> None:
    decoder(regions, captions(B))[0].sum().backward()
    assert [name for name, p in decoder.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("name", sorted(decoders()))
def test_an_unknown_option_names_near_ones(name: str) -> None:
    with pytest.raises(UsageError, match=r"no option 'widht'; near it: .*width"):
        decoder_config({"name": name, "widht": 16})


@pytest.mark.parametrize("name", sorted(decoders()))
@pytest.mark.parametrize("value", ["16", 16.5, True, None, -1, [16], 10**9])
def test_a_width_that_is_no_sensible_number_is_refused(name: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"decoder {name}: width must be"):
        decoder_config({"name": name, "width": value})


@pytest.mark.parametrize("name", sorted(decoders()))
def test_options_that_no_decoder_can_have_are_refused(name: str, tiny_settings: Settings) -> None:
    for options in ({"width": 0}, {"dropout": 1.5}):
        with pytest.raises(UsageError, match=f"decoder {name}: "):
            build_decoder(tiny_settings(name, **options), D, R, V)


@pytest.mark.parametrize("options", [{"heads": 3}, {"heads": 0}, {"layers": 0}, {"layers": 101}])
def test_a_transformer_needs_heads_that_divide_its_width_and_a_few_layers(
    options: dict[str, int], tiny_settings: Settings
) -> None:
    with pytest.raises(UsageError, match="decoder transformer: "):
        build_decoder(tiny_settings("transformer", **options), D, R, V)


@pytest.mark.parametrize("settings", [{}, {"name": "lstn"}, {"name": ["lstm"]}])
def test_an_unknown_name_lists_those_that_exist(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="there are lstm, transformer"):
        decoder_config(settings)


@torch.no_grad()
def test_every_head_is_told_and_step_averages_them(decoder: Decoder, regions: Tensor) -> None:
    _, _, state = stepwise(decoder, decoder.start(regions), captions(B, 2))
    log_probabilities, heads, _ = decoder.attend(torch.tensor([5, 6]), state)
    step, attention, _ = decoder.step(torch.tensor([5, 6]), state)
    assert heads is not None and heads.shape == (B, *decoder.heads, R)
    torch.testing.assert_close(heads.sum(-1), torch.ones(B, *decoder.heads))
    assert torch.equal(step, log_probabilities)
    torch.testing.assert_close(attention, heads.mean((1, 2)))


@torch.no_grad()
def test_gates_weigh_what_a_head_sees(decoder: Decoder, regions: Tensor) -> None:
    tokens, state = torch.tensor([5, 6]), decoder.start(regions)
    plain, heads, _ = decoder.attend(tokens, state)
    gates = torch.ones(B, *decoder.heads, R)
    same, untouched, _ = decoder.attend(tokens, state, gates)
    assert_same((same, untouched), (plain, heads))
    gates[0, -1, -1, 2] = 0
    other, before, _ = decoder.attend(tokens, state, gates)
    torch.testing.assert_close(before, heads)
    torch.testing.assert_close(other[1], plain[1])
    assert not torch.allclose(other[0], plain[0], atol=1e-4)


@torch.no_grad()
def test_gates_find_their_rows_where_captions_share_a_picture(decoder: Decoder, regions: Tensor) -> None:
    state = decoder.reorder(decoder.start(regions), torch.arange(B).repeat_interleave(3))
    gates = torch.rand(B * 3, *decoder.heads, R, generator=torch.Generator().manual_seed(3))
    tokens = torch.arange(4, 4 + B * 3)
    together, _, _ = decoder.attend(tokens, state, gates)
    for row in range(B * 3):
        picture = decoder.start(regions[row // 3 : row // 3 + 1])
        alone, _, _ = decoder.attend(tokens[row : row + 1], picture, gates[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-4, atol=1e-4)


def test_a_trace_is_what_attend_tells_word_by_word(decoder: Decoder, regions: Tensor) -> None:
    words = captions(B)
    gates = torch.rand(B, T, *decoder.heads, R, generator=torch.Generator().manual_seed(3), requires_grad=True)
    said, seen = decoder.trace(words, decoder.start(regions), gates)
    one_by_one, each = Decoder.trace(decoder, words, decoder.start(regions), gates)
    assert seen is not None and each is not None and seen.shape == (B, T, *decoder.heads, R)
    torch.testing.assert_close(said, one_by_one, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(seen, each, rtol=1e-4, atol=1e-5)
    chosen = torch.arange(V).expand(B, T, V) % 7 == 0
    slopes = [torch.autograd.grad((told * chosen).sum(), gates)[0] for told in (said, one_by_one)]
    torch.testing.assert_close(slopes[0], slopes[1], rtol=1e-3, atol=1e-4)
    assert (slopes[0].abs().sum((0, 2, 3, 4)) > 0).all()


def test_in_a_trace_a_word_owes_nothing_to_what_earlier_words_saw(decoder: Decoder, regions: Tensor) -> None:
    gates = torch.ones(B, T, *decoder.heads, R, requires_grad=True)
    said, _ = decoder.trace(captions(B), decoder.start(regions), gates)
    slope = torch.autograd.grad(said[:, -1].sum(-1)[0] - said[0, -1, 5] * 3, gates)[0]
    assert slope[0, -1].abs().sum() > 0
    assert (slope[:, :-1] == 0).all()
