from __future__ import annotations

import pytest
import torch

from capcli.model.encoder import Encoder, EncoderConfig
from capcli.model.shapes import shapes_only


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "resnet18", "efficientnet_b0"])
def test_shapes_are_those_of_the_model_itself(name: str) -> None:
    config = EncoderConfig(name, 64)
    with shapes_only():
        shapes = Encoder(config)
    whole = Encoder(config)
    assert all(tensor.is_meta for tensor in shapes.state_dict().values())
    assert [(n, t.shape, t.dtype) for n, t in shapes.state_dict().items()] == [
        (n, t.shape, t.dtype) for n, t in whole.state_dict().items()
    ]
    assert (shapes.width, shapes.grid, shapes.box) == (whole.width, whole.grid, whole.box)


def test_weights_are_drawn_again_outside() -> None:
    with shapes_only():
        torch.nn.Linear(2, 2)
    torch.manual_seed(0)
    assert torch.nn.Linear(8, 8).weight.std() > 0
