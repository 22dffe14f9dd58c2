"""Which device and precision to compute with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from capcli.errors import UsageError

if TYPE_CHECKING:
    import torch


def choose_device(name: str = "auto") -> torch.device:
    """Turns `auto`, `cpu`, `cuda`, `cuda:N` or `mps` into a device that is there; auto prefers CUDA, then MPS.

    Raises:
        UsageError: for another name or a device that this machine does not have.
    """
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda", "mps"):
        raise UsageError(f"no device named {name!r}; use auto, cpu, cuda, cuda:N or mps")
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            here = f"this machine has {count} CUDA device{'s' * (count != 1)}" if count else "no CUDA device is here"
            raise UsageError(f"{name}: {here}; --device cpu always works")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UsageError("mps: no Metal device is here; --device cpu always works")
    return device


def bfloat16_pays(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware; elsewhere float32 is the faster choice on a CPU."""
    import torch

    if device.type == "cuda":
        # Older cards only emulate bfloat16, and torch.cuda.is_bf16_supported() counts that too.
        return torch.version.hip is not None or torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        has = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
        return bool(has())
    return False


def out_of_memory(error: BaseException) -> bool:
    """Whether there was too little memory, of the machine or of the device."""
    # Only CUDA has a type for it, and says these words too.
    message = str(error).lower()
    return isinstance(error, MemoryError) or any(
        words in message
        for words in (
            "out of memory",
            "defaultcpuallocator",
            "alloc_failed",
            "allocate memory",
            "bad allocation",
            "bad_alloc",
        )
    )
