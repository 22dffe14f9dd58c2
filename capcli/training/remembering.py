"""What keeps a trained encoder near what it was: anchors, and the weights that it was trained from mixed into it."""

from __future__ import annotations

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from capcli.errors import ModelError
from capcli.model.encoder import Encoder
from capcli.modelfile.checkpoint import write_safetensors
from capcli.training.feed import Feed
from capcli.training.precision import autocast
from capcli.training.run_state import RunState
from capcli.training.setup import Setup


def restore_encoder(setup: Setup, share: float) -> None:
    """Mixes a share of the weights that the model's encoder was trained from into it."""
    begun_from = _load_encoder(setup, setup.start.pretrained)
    with torch.no_grad():
        for own, before in zip(setup.start.model.encoder.parameters(), begun_from.parameters(), strict=True):
            own.lerp_(before, share)


def read_anchors(setup: Setup, state: RunState, feed: Feed) -> Tensor:
    """What `anchor` compares with: from the stage's begin, so a file keeps it for a run that is gone on with.

    Raises:
        ModelError: if the file of a run that goes on cannot be read.
    """
    at, start = state.position, setup.start
    file = setup.folder / f"anchors-{at.stage + 1}.safetensors"
    if setup.processes.first and (at.epoch, at.step) == (0, 0):
        start.model.eval()
        with torch.inference_mode(), autocast(setup.device):
            held_to = None if start.anchored_to is None else _load_encoder(setup, start.anchored_to)
            anchors = feed.anchors(held_to)
        write_safetensors(file, {"anchors": anchors.clone()}, {})
    try:
        return load_file(file)["anchors"]
    except (OSError, SafetensorError, KeyError) as error:
        raise ModelError(f"{file}: cannot be read ({error}); delete {state.file} to start anew") from None


def _load_encoder(setup: Setup, source: str) -> Encoder:
    """An encoder of the model's kind with pretrained weights, where training computes."""
    encoder = Encoder(setup.start.model.config.encoder)
    encoder.load_pretrained(source)
    return encoder.to(setup.device).eval()
