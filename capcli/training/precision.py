"""The numbers that training computes with on a device."""

from __future__ import annotations

import torch

from capcli.model.device import bfloat16_pays


def autocast(device: torch.device) -> torch.autocast:
    """bfloat16 where it pays, float16 on other CUDA devices, and float32 elsewhere."""
    pays = bfloat16_pays(device)
    dtype = torch.bfloat16 if pays or device.type != "cuda" else torch.float16
    return torch.autocast(device.type, dtype, enabled=pays or device.type == "cuda")


def loss_scaler(device: torch.device) -> torch.amp.GradScaler:
    """What keeps small gradients of float16 from becoming zero; it does nothing elsewhere."""
    return torch.amp.GradScaler(device.type, enabled=device.type == "cuda" and not bfloat16_pays(device))
