from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from capcli.errors import UsageError
from capcli.modelfile.checkpoint import Checkpoint
from capcli.modelfile.layers import layer_weights
from capcli.modelfile.pruning import hold, lamp, pack, prune, unpack, zeros

SHAPES = st.lists(st.integers(0, 6), min_size=1, max_size=4)
KINDS = (torch.float16, torch.float32, torch.bfloat16, torch.int8)


def layers() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(4, 4, 3, groups=4), nn.LayerNorm(5), nn.Linear(30, 20), nn.Embedding(7, 11))


@pytest.mark.parametrize("share", [0.001, 0.1, 0.33, 0.5, 0.9, 0.999])
def test_the_share_of_zeros_is_exact_and_biases_are_none(share: float) -> None:
    model = layers()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    prune(model, share)
    chosen, total = zeros(model), 4 * 9 + 600 + 77
    assert chosen.keys() == layer_weights(model) == {"0.weight", "2.weight", "3.weight"}
    assert sum(int(zero.sum()) for zero in chosen.values()) == round(share * total)
    for name, value in model.state_dict().items():
        kept = ~chosen[name] if name in chosen else torch.ones_like(value, dtype=torch.bool)
        assert torch.equal(value[kept], before[name][kept])
        if name in chosen and not kept.all() and kept.any():
            assert before[name][~kept].abs().max() <= before[name][kept].abs().min()


@pytest.mark.parametrize("decoder", ["lstm", "transformer"])
def test_whole_models_are_pruned(tiny_checkpoint: Callable[..., Checkpoint], decoder: str) -> None:
    model = tiny_checkpoint(decoder).model
    prune(model, 0.5)
    found = list(zeros(model).values())
    count = sum(zero.numel() for zero in found)
    assert sum(int(zero.sum()) for zero in found) == round(0.5 * count)
    assert not any(bool(zero.all()) for zero in found)


def test_more_can_be_pruned_and_less_cannot() -> None:
    model = layers()
    prune(model, 0.4)
    first = zeros(model)
    with pytest.raises(UsageError, match=r"40\.\d% of its layers' weights are zero already; ask for a larger share"):
        prune(model, 0.4)
    prune(model, 0.6)
    assert all(bool(zeros(model)[name][zero].all()) for name, zero in first.items())


def test_lamp_is_that_of_the_article() -> None:
    # Squares 1, 4, 9, 16: each is divided by itself and those above.
    expected = torch.tensor([[16 / 16, 1 / 30], [9 / 25, 4 / 29]])
    torch.testing.assert_close(lamp(torch.tensor([[-4.0, 1.0], [3.0, -2.0]])), expected)
    assert lamp(torch.zeros(2, 3)).tolist() == [[0.0] * 3] * 2


def test_the_largest_weight_of_a_small_layer_outlives_all_of_a_large_one_but_its_own() -> None:
    model = nn.Sequential(nn.Linear(100, 100, bias=False), nn.Linear(2, 1, bias=False))
    with torch.no_grad():
        model[1].weight.mul_(1e-6)
    prune(model, 1 - 2 / 10_002)
    assert [int((layer.weight != 0).sum()) for layer in model] == [1, 1]


@given(shape=SHAPES, share=st.floats(0, 1), kind=st.sampled_from(KINDS), seed=st.integers(0, 99))
def test_what_is_packed_comes_back_bit_for_bit(shape: list[int], share: float, kind: torch.dtype, seed: int) -> None:
    source = torch.Generator().manual_seed(seed)
    whole = (torch.randn(shape, generator=source) * 50).to(kind)
    kept = torch.rand(shape, generator=source) >= share
    values, bits = pack(whole, kept)
    assert (values.dtype, values.shape, bits.dtype) == (kind, (int(kept.sum()),), torch.uint8)
    assert bits.shape == (math.ceil(whole.numel() / 8),)
    assert torch.equal(unpack(values, bits, tuple(shape)), whole.masked_fill(~kept, 0))


@pytest.mark.parametrize(
    ("values", "bits"), [([1.0], [3]), ([1.0, 2.0, 3.0], [3]), ([1.0, 2.0], [1 + 32]), ([], [1]), ([1.0], [128])]
)
def test_bits_that_count_other_numbers(values: list[float], bits: list[int]) -> None:
    with pytest.raises(ValueError, match="its bits tell"):
        unpack(torch.tensor(values), torch.tensor(bits, dtype=torch.uint8), (5,))


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_packing_goes_by_rows_whatever_the_order_in_memory(memory: torch.memory_format) -> None:
    whole = torch.arange(1.0, 25).view(1, 2, 3, 4).contiguous(memory_format=memory)
    values, bits = pack(whole, whole > 3)
    assert values.tolist() == list(range(4, 25))
    assert bits.tolist() == [0b11111000, 255, 255]


@pytest.mark.parametrize("shared", [False, True])
def test_zeros_that_are_held_stay_while_the_loss_falls(shared: bool) -> None:
    model = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6))
    if shared:
        model[2].weight = model[0].weight
    prune(model, 0.5)
    before = zeros(model)
    hold(model, before)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1)
    inputs, losses = torch.randn(64, 6), list[float]()
    for _ in range(30):
        loss = (model(inputs) - inputs.roll(1, 1)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(later < earlier for earlier, later in pairwise(losses))
    after = zeros(model)
    assert all(torch.equal(before[name], after[name]) for name in before)
