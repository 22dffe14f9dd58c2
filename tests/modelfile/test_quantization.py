from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from capcli.model.decoders.registry import decoders
from capcli.modelfile.checkpoint import Checkpoint
from capcli.modelfile.layers import layer_weights
from capcli.modelfile.quantization import dequantize, quantize


@given(
    shape=st.lists(st.integers(1, 5), min_size=2, max_size=4),
    size=st.floats(1e-6, 1e6),
    seed=st.integers(0, 1000),
)
def test_every_number_stays_within_half_a_scale(shape: list[int], size: float, seed: int) -> None:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * size
    values, scale = quantize(weight)
    assert (values.dtype, values.shape, scale.dtype, scale.shape) == (
        torch.int8,
        weight.shape,
        torch.float32,
        weight.shape[:1],
    )
    off = (dequantize(values, scale) - weight).abs().flatten(1)
    assert bool((off <= scale.unsqueeze(1) * 0.5001).all())
    assert bool((values.flatten(1).abs().amax(1) == 127).all())


@given(seed=st.integers(0, 1000))
def test_what_was_rounded_once_stays_as_it_is(seed: int) -> None:
    weight = torch.randn(4, 9, generator=torch.Generator().manual_seed(seed))
    values, scale = quantize(weight)
    again, _ = quantize(dequantize(values, scale))
    assert torch.equal(again, values)


def test_a_channel_of_zeros_stays_zero() -> None:
    values, scale = quantize(torch.tensor([[0.0, 0.0], [-2.0, 1.0]]))
    assert dequantize(values, scale)[0].tolist() == [0.0, 0.0]
    assert dequantize(values, scale)[1, 0].item() == pytest.approx(-2.0)


def test_large_channels_do_not_coarsen_small_ones() -> None:
    weight = torch.tensor([[1000.0, 500.0], [0.001, 0.0005]])
    torch.testing.assert_close(dequantize(*quantize(weight)), weight, rtol=0.01, atol=0)


@pytest.mark.parametrize("decoder", sorted(decoders()))
def test_nearly_all_of_a_model_is_its_layers_weights(tiny_checkpoint: Callable[..., Checkpoint], decoder: str) -> None:
    model = tiny_checkpoint(decoder).model
    names, state = layer_weights(model), model.state_dict()
    assert names < state.keys()
    assert {name for name in state if "embedding" in name} <= names
    assert not {name for name in names if state[name].dim() < 2}
    layers = sum(state[name].numel() for name in names)
    assert layers > 0.9 * sum(value.numel() for value in state.values())


def test_recurrent_and_attention_layers_count() -> None:
    model = nn.ModuleDict({"cell": nn.GRUCell(2, 3), "rnn": nn.LSTM(2, 3), "heads": nn.MultiheadAttention(4, 2)})
    assert layer_weights(model) == {
        *("cell.weight_ih", "cell.weight_hh", "rnn.weight_ih_l0", "rnn.weight_hh_l0"),
        *("heads.in_proj_weight", "heads.out_proj.weight"),
    }
