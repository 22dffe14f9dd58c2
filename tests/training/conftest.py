from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from toy_objective import WIDTH, WORDS

from capcli.model.decoder import Decoder, build_decoder, decoders


@pytest.fixture(params=sorted(decoders()))
def decoder(request: pytest.FixtureRequest, tiny_settings: Callable[..., dict[str, Any]]) -> Decoder:
    """Each decoder in turn, in training, for the toy pictures."""
    torch.manual_seed(0)
    # Through two layers the picture that is seen but once takes longer to reach the words.
    options = {"layers": 1} if request.param == "inject" else {}
    return build_decoder(tiny_settings(request.param, dropout=0.0, **options), WIDTH, (1, 3), WORDS).train()
