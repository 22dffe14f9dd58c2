"""Depthwise convolution that trains fast in bfloat16 on a CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class DepthwiseConv2d(nn.Conv2d):
    """An `nn.Conv2d` with one filter per channel whose gradients are taken in float32 on the CPU.

    oneDNN's bfloat16 gradients of strided or 5 x 5 depthwise convolutions fall back to code that is 3 to 80
    times slower than float32; the forward pass in bfloat16 is fast. Outside CPU autocast this is `nn.Conv2d`.
    """

    @staticmethod
    def suits(conv: nn.Conv2d) -> bool:
        """Whether the convolution is depthwise and zero-padded."""
        return conv.groups == conv.in_channels == conv.out_channels > 1 and conv.padding_mode == "zeros"

    @classmethod
    def of(cls, conv: nn.Conv2d) -> DepthwiseConv2d:
        """Takes over the weights of a depthwise `nn.Conv2d`."""
        twin = cls(
            conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding,  # type: ignore[arg-type]
            conv.dilation, conv.groups, conv.bias is not None,  # type: ignore[arg-type]
        )  # fmt: skip
        twin.load_state_dict(conv.state_dict())
        return twin

    def forward(self, input: Tensor) -> Tensor:
        """Convolves N x C x H x W."""
        mixed = input.device.type == "cpu" and torch.is_autocast_enabled("cpu") and torch.is_grad_enabled()
        if mixed and self.weight.requires_grad:
            geometry = (self.stride, self.padding, self.dilation)
            output: Tensor = _MixedDepthwise.apply(input, self.weight, self.bias, *geometry)
            return output
        return super().forward(input)


class _MixedDepthwise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: tuple[int, ...],
        padding: tuple[int, ...],
        dilation: tuple[int, ...],
    ) -> Tensor:
        ctx.save_for_backward(input, weight)
        ctx.geometry = (stride, padding, dilation)
        ctx.has_bias = bias is not None
        dtype = torch.get_autocast_dtype("cpu")
        with torch.autocast("cpu", enabled=False):
            return torch.conv2d(
                input.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype),
                stride, padding, dilation, weight.shape[0],
            )  # fmt: skip

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        input, weight = ctx.saved_tensors
        stride, padding, dilation = ctx.geometry
        grad = grad_outputs[0].float().contiguous(memory_format=torch.channels_last)
        wide = input.float().contiguous(memory_format=torch.channels_last)
        wanted = [ctx.needs_input_grad[0], True, ctx.has_bias]
        grad_input, grad_weight, grad_bias = torch.ops.aten.convolution_backward(
            grad, wide, weight, [weight.shape[0]] if ctx.has_bias else None,
            stride, padding, dilation, False, [0, 0], weight.shape[0], wanted,
        )  # fmt: skip
        if grad_input is not None:
            grad_input = grad_input.to(input.dtype)
        return grad_input, grad_weight, grad_bias, None, None, None
