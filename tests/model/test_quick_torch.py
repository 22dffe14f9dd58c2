from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from capcli.model.encoder import Encoder, EncoderConfig
from capcli.model.quick_torch import shapes_only


def in_a_new_process(program: str) -> None:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_model_is_built_without_the_compiler_and_who_asks_for_that_gets_the_real_one() -> None:
    in_a_new_process("""
import sys
from capcli.model.encoder import Encoder, EncoderConfig
from capcli.model.quick_torch import shapes_only, without_compiler
with shapes_only():
    Encoder(EncoderConfig("mobilenet_v3_small", 64))
assert not any(name.startswith("torch._dynamo") for name in sys.modules)

with without_compiler():
    from torch._dynamo import optimize
    import torch
    assert torch._dynamo.optimize is optimize
assert sys.modules["torch._dynamo"].optimize is optimize

from torchvision.ops.roi_align import is_compile_supported
assert is_compile_supported("cpu") == torch._dynamo.utils.is_compile_supported("cpu")
""")


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
