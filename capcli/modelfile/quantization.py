"""Weights as int8: a whole number for each, and a scale for each output channel.

That is how they are stored; loaded they are floats again. torch's int8 kernels were measured against bfloat16 on a
Zen 4 core: with the rounding of what goes in, 1 x 1 convolutions take 0.5 to 1.4 times as long and depthwise ones 1.8
to 3.1 times; a decoder of int8 linear layers takes 1.05 times as long, and has no gradients for heatmaps. In
ONNX Runtime int8 is faster where the arrays between layers are int8, too, which worsened captions where measured: see
docs/benchmarks.md.
"""

from __future__ import annotations

import torch
from torch import Tensor

_MOST = 127


def quantize(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Rounds a weight to whole numbers: symmetric, the largest of each output channel becoming 127 (Krishnamoorthi
    2018, sections 2.2 and 3.1.1).

    Args:
        weight: floating-point, of at least two dimensions; the first is that of the output channels, C.

    Returns:
        int8 values of the same shape, and float32 scales of shape (C,).
    """
    rows = weight.detach().float().flatten(1)
    scale = rows.abs().amax(1) / _MOST
    # A channel of nothing but zeros has the scale 0, by which nothing can be divided.
    values = (rows / scale.where(scale > 0, 1).unsqueeze(1)).round().clamp(-_MOST, _MOST)
    return values.to(torch.int8).view(weight.shape), scale


def dequantize(values: Tensor, scale: Tensor) -> Tensor:
    """The float32 weight that `quantize` rounded, each number at most half a scale away from what it was."""
    return values.float() * scale.view(-1, *[1] * (values.dim() - 1))
