"""Whether the tensors of a model file are those of its config."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from capcli.errors import ModelError
from capcli.modelfile.header import KEPT, SCALE

_KINDS = ("F16", "BF16", "F32")


def check_fit(
    path: Path,
    shapes: Mapping[str, tuple[int, ...]],
    present: Mapping[str, tuple[str, tuple[int, ...]]],
    described: Mapping[str, object],
) -> None:
    """Raises ModelError unless names, types and shapes of a file's tensors are those of its config, and as many zeros
    are left out as its description says.

    Args:
        path: of the file.
        shapes: of the config, by name.
        present: as `tensor_types` gives them.
        described: as `read_description` gives it.
    """
    left_out = _compare(path, shapes, present)
    if described["left_out"] != left_out:
        raise ModelError(
            f"{path}: its description cannot be used (it leaves {left_out:,} zeros out, and says "
            f"that it leaves out {described['left_out']!r})"
        )


def _compare(
    path: Path, shapes: Mapping[str, tuple[int, ...]], present: Mapping[str, tuple[str, tuple[int, ...]]]
) -> int:
    """How many zeros a file leaves out."""
    left_out = 0
    wanted: dict[str, tuple[tuple[str, ...], tuple[int, ...]]] = {}
    for name, whole in shapes.items():
        known: tuple[str, ...] = _KINDS
        shape = whole
        kind, held = present.get(name, ("", ()))
        if len(shape) > 1 and kind == "I8":
            wanted[name + SCALE], known = (("F32",), shape[:1]), ("I8",)
        if len(shape) > 1 and name + KEPT in present:
            count = math.prod(whole)
            wanted[name + KEPT] = (("U8",), (-(-count // 8),))
            # The bits will say how many numbers are kept; more than all of them cannot be.
            shape = held if len(held) == 1 and held[0] <= count else (count,)
            left_out += count - shape[0]
        wanted[name] = known, shape
    odd = sorted(wanted.keys() ^ present.keys())
    if odd:
        what = "lacks" if odd[0] in wanted else "has an unexpected"
        raise ModelError(f"{path}: its tensors do not fit its config: it {what} {odd[0]!r} ({len(odd)} such)")
    for name, (known, shape) in wanted.items():
        kind, held = present[name]
        if kind not in known:
            raise ModelError(f"{path}: its tensors do not fit its config: {name!r} is of type {kind}")
        if held != shape:
            raise ModelError(f"{path}: its tensors do not fit its config: {name!r} is {held}, not {shape}")
    return left_out
