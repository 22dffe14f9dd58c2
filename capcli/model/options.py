"""Which model computes, and where: one definition for every command that runs one."""

from __future__ import annotations

from dataclasses import dataclass

from capcli.options import option

ENGINES = ("auto", "onnx", "torch")

BATCH = 32
"""Pictures that are captioned at once where nothing else is asked for: 16 for each of two cores."""


def device_option() -> str:
    """Where to compute."""
    return option("auto", "Where to compute: auto, cpu, cuda, cuda:N or mps.", metavar="DEVICE")


def engine_option() -> str:
    """What computes."""
    return option(
        "auto",
        "What computes: onnx (on a CPU), torch, or auto, the faster one that is ready.",
        choices=ENGINES,
        metavar="ENGINE",
    )


def batch_size_option() -> int:
    """How many pictures at once."""
    return option(BATCH, "Pictures computed at once; halved where memory runs out.", least=1, most=1024)


@dataclass(frozen=True)
class ModelOptions:
    """A model and its place."""

    model: str = option(
        "base",
        "A model that ships, a .safetensors file, or a captioner of Hugging Face: hf:OWNER/NAME or its folder.",
        metavar="MODEL",
    )
    lm: str | None = option(
        None, "A language model that has a say in the choice of words; see --lm-weight.", metavar="FILE"
    )
    device: str = device_option()
    engine: str = engine_option()
    batch_size: int = batch_size_option()
