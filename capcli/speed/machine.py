"""What a figure was taken on."""

from __future__ import annotations

import platform
from pathlib import Path

from capcli.evaluation.provenance import machine, versions

_SETS = {
    **{flag: flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16")},
    "asimd": "neon",
    "asimddp": "dot product",
    "i8mm": "i8mm",
    "bf16": "bf16",
    "sve": "sve",
}
"""The instruction sets that the speed of captioning hangs on, as Linux calls them and as people do."""


def describe_machine() -> dict[str, object]:
    """Processor, usable cores, system, instruction sets that matter, and versions.

    The instruction sets are None where the system does not tell them in a file.
    """
    packages = versions("capcli", "torch", "torchvision", "onnxruntime", "numpy")
    return {**machine(), "instructions": instruction_sets(), "versions": packages}


def instruction_sets(cpuinfo: Path = Path("/proc/cpuinfo")) -> list[str] | None:
    """Those of the processor that matter; None where the system does not tell.

    Args:
        cpuinfo: Linux' description of the processors.
    """
    try:
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    flags = next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
    known = set(flags.partition(":")[2].split())
    return [name for flag, name in _SETS.items() if flag in known]


def tell_machine() -> str:
    """The machine and the versions on one line."""
    host = machine()
    packages = versions("capcli", "torch", "torchvision", "onnxruntime")
    packages.pop("python")
    sets = instruction_sets()
    return ", ".join(
        [
            f"{host['processor']}",
            f"{host['cores']} cores",
            *(["/".join(sets)] if sets else []),
            f"{host['system']}",
            f"Python {platform.python_version()}",
            *(f"{name} {number}" for name, number in packages.items()),
        ]
    )
