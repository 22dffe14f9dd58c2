"""A module in training asked for what it would say in use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def evaluation_mode(module: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients within; the mode it had afterwards."""
    training = module.training
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        module.train(training)
        # Some releases of torch keep the half-precision weights of a pass without gradients and would train on them.
        torch.clear_autocast_cache()
