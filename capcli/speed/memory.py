"""How much memory a process needed."""

from __future__ import annotations

import sys


def peak_memory() -> float | None:
    """Peak resident memory of this process in bytes; None on Windows, which does not tell it so."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if sys.platform == "darwin" else peak * 1024)
