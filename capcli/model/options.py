"""Which model computes, and where: one definition for every command that runs one."""

from __future__ import annotations

from dataclasses import dataclass

from capcli.options import option


@dataclass(frozen=True)
class ModelOptions:
    """A model and its place."""

    model: str = option("base", "A model that ships with capcli, or a .safetensors file.", metavar="NAME|FILE")
    device: str = option("auto", "Where to compute: auto, cpu, cuda, cuda:N or mps.", metavar="DEVICE")
    batch_size: int = option(16, "Pictures computed at once; halved where memory runs out.", least=1, most=1024)
