"""Encoders of torchvision's kinds with a few narrow parts, for tests of what does not depend on their size.

Most of a tiny run is building encoders, and saving and checking their weights. Importing this module registers them
with torchvision, so that no other process knows them.
"""

from __future__ import annotations

from typing import Any

from torch import nn
from torchvision import models
from torchvision.models import MaxVit, MobileNetV3, SwinTransformer, VisionTransformer
from torchvision.models._api import WeightsEnum, register_model
from torchvision.models.mobilenetv3 import InvertedResidualConfig

SMALL_ENCODER = "mobilenet_v3_tiny"
"""Blocks 0 to 5, a region for each 16 x 16 pixels; it has what capcli treats apart in convolutional networks: batch
norms to fold, convolutions by depth, squeezes, and a residual."""

_BLOCKS = (
    # input, kernel, expanded, output, squeezes, activation, stride
    (16, 3, 16, 16, True, "RE", 2),
    (16, 3, 32, 24, False, "RE", 2),
    (24, 5, 48, 24, True, "HS", 1),
    # Wide, so that nearly all of a model file is weights.
    (24, 5, 480, 80, True, "HS", 2),
)


def mobilenet_v3_tiny(weights: Any = None) -> nn.Module:
    settings = [InvertedResidualConfig(*block, dilation=1, width_mult=1.0) for block in _BLOCKS]
    model: nn.Module = MobileNetV3(settings, last_channel=16, num_classes=8)
    return model


def maxvit_tiny(weights: Any = None, input_size: tuple[int, int] = (64, 64)) -> nn.Module:
    model: nn.Module = MaxVit(
        input_size, stem_channels=16, partition_size=2, block_channels=[16, 16, 32, 32], block_layers=[1, 1, 1, 1],
        head_dim=8, stochastic_depth_prob=0.2, num_classes=8,
    )  # fmt: skip
    return model


def swin_tiny(weights: Any = None) -> nn.Module:
    model: nn.Module = SwinTransformer(
        [4, 4], embed_dim=16, depths=[2, 2], num_heads=[2, 4], window_size=[7, 7], stochastic_depth_prob=0.5,
        num_classes=8,
    )  # fmt: skip
    return model


def vit_tiny_32(weights: Any = None, image_size: int = 224) -> nn.Module:
    model: nn.Module = VisionTransformer(
        image_size, 32, num_layers=2, num_heads=2, hidden_dim=32, mlp_dim=64, num_classes=8
    )
    return model


_NORMALISED_AS: dict[Any, type[WeightsEnum]] = {
    mobilenet_v3_tiny: models.MobileNet_V3_Small_Weights,
    maxvit_tiny: models.MaxVit_T_Weights,
    swin_tiny: models.Swin_T_Weights,
    vit_tiny_32: models.ViT_B_32_Weights,
}

for _model, _weights in _NORMALISED_AS.items():
    # torchvision finds the weights of a model by the type of that argument.
    _model.__annotations__["weights"] = _weights
    # capcli takes no models but torchvision's own classification models.
    _model.__module__ = f"torchvision.models.{_model.__name__}"
    register_model()(_model)
