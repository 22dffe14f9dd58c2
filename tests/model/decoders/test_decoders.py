"""The contract of `Decoder`, kept by every decoder in the registry."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from capcli.errors import UsageError
from capcli.model.decoders.contract import Decoder
from capcli.model.decoders.registry import build_decoder, decoder_config, decoders
from capcli.model.region_encoder import RegionDropout, RegionLayer, waves
from capcli.words.vocabulary import START

B, D, V, T = 2, 10, 13, 5
GRID = (2, 3)
R = 6
Settings = Callable[..., dict[str, Any]]


@pytest.fixture
def decoder(variant: dict[str, Any], shaken: Callable[..., Any]) -> Decoder:
    return shaken(build_decoder(variant, D, GRID, V))


@pytest.fixture
def attending(attending_variant: dict[str, Any], shaken: Callable[..., Any]) -> Decoder:
    return shaken(build_decoder(attending_variant, D, GRID, V))


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
    stacked = None if attention[0] is None else torch.stack(attention, 1)
    return torch.stack(log_probabilities, 1), stacked, state


def assert_same(first: tuple[Tensor, Tensor | None], second: tuple[Tensor, Tensor | None]) -> None:
    torch.testing.assert_close(first[0], second[0], rtol=1e-4, atol=1e-4)
    assert (first[1] is None) == (second[1] is None)
    if first[1] is not None:
        torch.testing.assert_close(first[1], second[1], rtol=1e-4, atol=1e-5)


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
    together, attention = decoder(regions, words)
    for row in range(B * 3):
        alone = decoder(regions[row // 3 : row // 3 + 1], words[row : row + 1])
        assert_same((together[row : row + 1], None if attention is None else attention[row : row + 1]), alone)


@torch.no_grad()
def test_a_word_is_predicted_from_those_before_it_alone(decoder: Decoder, regions: Tensor) -> None:
    words = captions(B)
    changed = words.clone()
    changed[:, 3] = 4 + (words[:, 3] - 3) % (V - 4)
    before, after = decoder(regions, words)[0], decoder(regions, changed)[0]
    torch.testing.assert_close(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3:], after[:, 3:], atol=1e-3)


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
    assert (attention is None) == (decoder.heads == (0, 0))
    if attention is not None:
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
            build_decoder(tiny_settings(name, **options), D, GRID, V)


@pytest.mark.parametrize("options", [{"heads": 3}, {"heads": 0}, {"layers": 0}, {"layers": 101}])
def test_a_transformer_needs_heads_that_divide_its_width_and_a_few_layers(
    options: dict[str, int], tiny_settings: Settings
) -> None:
    with pytest.raises(UsageError, match="decoder transformer: "):
        build_decoder(tiny_settings("transformer", **options), D, GRID, V)


@pytest.mark.parametrize("settings", [{}, {"name": "lstn"}, {"name": ["lstm"]}])
def test_an_unknown_name_lists_those_that_exist(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="there are adaptive, gru, inject, lstm, merge, transformer"):
        decoder_config(settings)


@torch.no_grad()
def test_every_head_is_told_and_step_averages_them(attending: Decoder, regions: Tensor) -> None:
    _, _, state = stepwise(attending, attending.start(regions), captions(B, 2))
    log_probabilities, heads, _ = attending.attend(torch.tensor([5, 6]), state)
    step, attention, _ = attending.step(torch.tensor([5, 6]), state)
    assert heads is not None and heads.shape == (B, *attending.heads, R)
    torch.testing.assert_close(heads.sum(-1), torch.ones(B, *attending.heads))
    assert torch.equal(step, log_probabilities)
    torch.testing.assert_close(attention, heads.mean((1, 2)))


@torch.no_grad()
def test_gates_weigh_what_a_head_sees(attending: Decoder, regions: Tensor) -> None:
    tokens, state = torch.tensor([5, 6]), attending.start(regions)
    plain, heads, _ = attending.attend(tokens, state)
    gates = torch.ones(B, *attending.heads, R)
    same, untouched, _ = attending.attend(tokens, state, gates)
    assert_same((same, untouched), (plain, heads))
    gates[0, -1, -1, 2] = 0
    other, before, _ = attending.attend(tokens, state, gates)
    torch.testing.assert_close(before, heads)
    torch.testing.assert_close(other[1], plain[1])
    assert not torch.allclose(other[0], plain[0], atol=1e-4)


@torch.no_grad()
def test_gates_find_their_rows_where_captions_share_a_picture(attending: Decoder, regions: Tensor) -> None:
    state = attending.reorder(attending.start(regions), torch.arange(B).repeat_interleave(3))
    gates = torch.rand(B * 3, *attending.heads, R, generator=torch.Generator().manual_seed(3))
    tokens = torch.arange(4, 4 + B * 3)
    together, _, _ = attending.attend(tokens, state, gates)
    for row in range(B * 3):
        picture = attending.start(regions[row // 3 : row // 3 + 1])
        alone, _, _ = attending.attend(tokens[row : row + 1], picture, gates[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_sentinel_has_the_share_that_the_regions_have_not(
    tiny_settings: Settings, shaken: Any, regions: Tensor
) -> None:
    decoder = shaken(build_decoder(tiny_settings("adaptive"), D, GRID, V))
    tokens = torch.tensor([5, 6])
    blind = decoder.attend(tokens, decoder.start(regions), torch.zeros(B, 1, 1, R))[0]
    # A key that outbids all regions, and one that all outbid.
    for bias, share in ((1e4, 1.0), (-1e4, 0.0)):
        decoder.attention.energy.weight.fill_(1e3)
        decoder.sentinel_key.bias.fill_(bias)
        log_probabilities, weights, state = decoder.attend(tokens, decoder.start(regions))
        torch.testing.assert_close(decoder.sentinel(state), torch.full((B,), share))
        torch.testing.assert_close(weights.sum(-1), torch.ones(B, 1, 1))
        # With the sentinel alone to look at the regions do not matter, nor what they are multiplied by.
        without = decoder.attend(tokens, decoder.start(regions), torch.zeros(B, 1, 1, R))[0]
        assert torch.allclose(log_probabilities, without, atol=1e-5) == (share == 1.0)
    assert not torch.allclose(blind, log_probabilities)


@torch.no_grad()
def test_a_sentinels_share_goes_with_its_row(tiny_settings: Settings, shaken: Any, regions: Tensor) -> None:
    decoder = shaken(build_decoder(tiny_settings("adaptive"), D, GRID, V))
    _, _, state = decoder.attend(torch.tensor([5, 6]), decoder.start(regions))
    shares = decoder.sentinel(state)
    assert shares.shape == (B,)
    assert ((shares > 0) & (shares < 1)).all()
    assert not torch.isclose(*shares)
    index = torch.tensor([1, 1, 0])
    assert torch.equal(decoder.sentinel(decoder.reorder(state, index)), shares[index])


def test_only_the_adaptive_decoder_has_a_sentinel(variant: dict[str, Any], decoder: Decoder, regions: Tensor) -> None:
    _, _, state = decoder.attend(torch.tensor([5, 6]), decoder.start(regions))
    assert (decoder.sentinel(state) is not None) == (variant["name"] == "adaptive")


@torch.no_grad()
def test_decoders_tell_where_a_region_lies_by_their_positions(tiny_settings: Settings, shaken: Any) -> None:
    """Regions that all look alike but one: where it is makes a difference with positions alone."""
    common, odd = torch.randn(2, D, generator=torch.Generator().manual_seed(4))
    first, last = common.repeat(1, R, 1), common.repeat(1, R, 1)
    first[0, 0], last[0, R - 1] = odd, odd
    words = captions(1)
    for positions in ("learned", "absolute", "relative"):
        for name in decoders():
            decoder = shaken(build_decoder(tiny_settings(name, positions=positions, region_layers=1), D, GRID, V))
            # Little is left of a bias in the mean of all regions, but more than rounding.
            assert not torch.allclose(decoder(first, words)[0], decoder(last, words)[0], atol=3e-5), (name, positions)
    decoder = shaken(build_decoder(tiny_settings("transformer", positions="absolute", region_layers=0), D, GRID, V))
    assert not torch.allclose(decoder(first, words)[0], decoder(last, words)[0], atol=1e-3)
    for name in ("lstm", "gru", "adaptive", "merge", "inject"):
        decoder = shaken(build_decoder(tiny_settings(name), D, GRID, V))
        torch.testing.assert_close(decoder(first, words)[0], decoder(last, words)[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", sorted(decoders()))
@torch.no_grad()
def test_what_is_encoded_of_a_region_depends_on_the_others_through_region_layers(
    name: str, tiny_settings: Settings, shaken: Any, regions: Tensor
) -> None:
    changed = regions.clone()
    changed[:, 1:] += 1 + torch.randn(R - 1, D, generator=torch.Generator().manual_seed(5))
    decoder = shaken(build_decoder(tiny_settings(name, region_layers=1), D, GRID, V))
    before, after = decoder.encode(regions), decoder.encode(changed)
    assert before.shape == (B, R, 16)
    assert not torch.allclose(before[:, 0], after[:, 0], atol=1e-3)
    assert not torch.allclose(before[:, 1], after[:, 1], atol=1e-3)
    alone = shaken(build_decoder(tiny_settings("transformer", region_layers=0), D, GRID, V))
    torch.testing.assert_close(alone.encode(regions)[:, 0], alone.encode(changed)[:, 0])


def test_whole_regions_are_hidden_in_training_alone(tiny_settings: Settings, regions: Tensor) -> None:
    settings = tiny_settings("lstm", region_layers=1, region_dropout=0.5, dropout=0.0)
    decoder = build_decoder(settings, D, GRID, V)
    words = captions(B)
    drawn = [decoder(regions, words)[0] for _ in range(4)]
    assert any(not torch.allclose(drawn[0], other) for other in drawn)
    decoder.eval()
    assert torch.equal(decoder(regions, words)[0], decoder(regions, words)[0])
    dropout, many = RegionDropout(0.3), torch.rand(40, 50, 3) + 1
    hidden = dropout(many)
    gone = (hidden == 0).all(-1)
    assert torch.equal(hidden[~gone], many[~gone])
    assert gone.float().mean().item() == pytest.approx(0.3, abs=0.05)
    assert dropout.eval()(many) is many


def test_a_relative_bias_is_that_of_the_distance_in_rows_and_columns() -> None:
    layer = RegionLayer(8, 2, 0.0, (2, 3), relative=True)
    layer.distances.data = torch.arange(2 * 3 * 5, dtype=torch.float32).view(2, 3, 5)
    biases = []
    layer.attention.forward = lambda target, key, value, bias: (biases.append(bias), (target, None))[1]
    layer(torch.randn(1, 6, 8))
    (bias,) = biases
    for place in range(6):
        for other in range(6):
            rows, columns = place // 3 - other // 3, place % 3 - other % 3
            assert torch.equal(bias[:, place, other], layer.distances[:, rows + 1, columns + 2])


def test_waves_tell_rows_and_columns_apart() -> None:
    encoding = waves((3, 5), 16).view(3, 5, 16)
    assert (encoding[:, :, :8] == encoding[:, :1, :8]).all()
    assert (encoding[:, :, 8:] == encoding[:1, :, 8:]).all()
    assert len(torch.unique(encoding.view(15, 16).round(decimals=4), dim=0)) == 15
    assert encoding[2, 0, 0] == pytest.approx(math.sin(2))
    assert encoding[0, 4, 8 + 4] == pytest.approx(math.cos(4))
    assert encoding[0, 4, 8 + 1] == pytest.approx(math.sin(4 / 10000 ** (2 / 8)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"name": "lstm", "attention": "aditive"},
            "attention must be one of additive, dot, multi-head, not 'aditive'; did",
        ),
        ({"name": "gru", "attention": None}, "attention must be one of additive, dot, multi-head, not None"),
        ({"name": "inject", "image": 3}, "image must be one of first, every, not 3"),
        ({"name": "merge", "fusion": "multiply"}, "fusion must be one of concat, add, not 'multiply'"),
        ({"name": "transformer", "positions": "2d"}, "positions must be one of learned, absolute, relative"),
        ({"name": "lstm", "layers": 17}, "layers must be a whole number from 1 to 16"),
        ({"name": "inject", "layers": 0}, "layers must be a whole number from 1 to 16"),
        ({"name": "adaptive", "layers": 2}, "decoder adaptive has no option 'layers'"),
        ({"name": "inject", "region_layers": -1}, "region_layers must be a whole number from 0 to 100"),
        ({"name": "merge", "region_layer": 1}, "no option 'region_layer'; near it: region_layers"),
    ],
)
def test_choices_that_there_are_not(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        decoder_config(settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "lstm", "attention": "multi-head", "attention_width": 9}, "9 is not a multiple of heads 8"),
        ({"name": "transformer", "positions": "relative", "region_layers": 0}, "set region_layers to at least 1"),
        ({"name": "transformer", "positions": "absolute", "width": 6, "heads": 2}, "multiple of 4, not 6"),
        ({"name": "lstm", "positions": "relative"}, "decoder lstm: .* set region_layers to at least 1"),
        ({"name": "merge", "region_dropout": 0.1}, "decoder merge: .* set region_layers to at least 1"),
        ({"name": "gru", "region_layers": 1, "region_width": 10}, "width 10 is not a multiple of heads 8"),
    ],
)
def test_choices_that_do_not_go_together(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build_decoder(settings, D, GRID, V)


def test_the_width_of_attention_may_have_its_former_name() -> None:
    assert decoder_config({"name": "lstm", "attention": 8})[1].attention_width == 8
    assert decoder_config({"name": "lstm", "attention": 8})[1].attention == "additive"


def test_tensors_of_older_models_keep_their_names(tiny_settings: Settings) -> None:
    """Model files from before there was a choice of cells, attention and positions hold these."""
    named = {
        name: set(build_decoder(tiny_settings(name, layers=1), D, GRID, V).state_dict())
        for name in ("lstm", "transformer")
    }
    both = lambda *modules: {f"{module}.{kind}" for module in modules for kind in ("weight", "bias")}  # noqa: E731
    cell = {f"cell.{kind}_{of}" for kind in ("weight", "bias") for of in ("ih", "hh")}
    assert named["lstm"] == cell | {"embedding.weight", "attention.energy.weight", "from_context.weight"} | both(
        "region_input.0", "region_input.1", "first_hidden", "first_cell", "attention.keys", "attention.query", "gate",
        "from_hidden", "output",
    )  # fmt: skip
    attention = ("attention.query", "attention.key_value", "attention.output")
    region = ("norm", *attention, "feed_norm", "feed.0", "feed.2")
    layer = (*region, "cross_norm", "cross.query", "cross.key_value", "cross.output")
    assert named["transformer"] == {"region_positions", "embedding.weight", "positions", "bias"} | both(
        "region_input.0", "region_input.1", "region_norm", "norm",
        *(f"region_layers.0.{part}" for part in region), *(f"layers.0.{part}" for part in layer),
    )  # fmt: skip


def test_a_trace_is_what_attend_tells_word_by_word(
    attending_variant: dict[str, Any], attending: Decoder, regions: Tensor
) -> None:
    words = captions(B)
    gates = torch.rand(B, T, *attending.heads, R, generator=torch.Generator().manual_seed(3), requires_grad=True)
    log_probabilities, attention, sentinel = attending.trace(words, attending.start(regions), gates)
    one_by_one, attention_by_step, shares = Decoder.trace(attending, words, attending.start(regions), gates)
    assert attention is not None and attention_by_step is not None and attention.shape == (B, T, *attending.heads, R)
    torch.testing.assert_close(log_probabilities, one_by_one, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(attention, attention_by_step, rtol=1e-4, atol=1e-5)
    assert (sentinel is None) == (shares is None) == (attending_variant["name"] != "adaptive")
    if sentinel is not None:
        torch.testing.assert_close(sentinel, shares)
    chosen = torch.arange(V).expand(B, T, V) % 7 == 0
    slopes = [torch.autograd.grad((logs * chosen).sum(), gates)[0] for logs in (log_probabilities, one_by_one)]
    torch.testing.assert_close(slopes[0], slopes[1], rtol=1e-3, atol=1e-4)
    assert (slopes[0].abs().sum((0, 2, 3, 4)) > 0).all()


def test_in_a_trace_a_word_owes_nothing_to_what_earlier_words_saw(attending: Decoder, regions: Tensor) -> None:
    gates = torch.ones(B, T, *attending.heads, R, requires_grad=True)
    log_probabilities, _, _ = attending.trace(captions(B), attending.start(regions), gates)
    slope = torch.autograd.grad(log_probabilities[:, -1].sum(-1)[0] - log_probabilities[0, -1, 5] * 3, gates)[0]
    assert slope[0, -1].abs().sum() > 0
    assert (slope[:, :-1] == 0).all()


@torch.no_grad()
def test_a_decoder_without_attention_traces_probabilities_alone(tiny_settings: Settings, regions: Tensor) -> None:
    for name in ("inject", "merge"):
        decoder = build_decoder(tiny_settings(name), D, GRID, V).eval()
        words = captions(B)
        log_probabilities, attention, sentinel = decoder.trace(words, decoder.start(regions))
        torch.testing.assert_close(log_probabilities, decoder(regions, words)[0], rtol=1e-4, atol=1e-4)
        assert attention is None
        assert sentinel is None
