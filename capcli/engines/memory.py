"""Memory that is no longer needed, given back to the system."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress


def give_back_memory() -> None:
    """Gives back what was freed, where the C library would keep it: glibc keeps it, for each thread that ever ran."""
    if sys.platform == "linux":
        with suppress(AttributeError):  # another C library
            ctypes.CDLL(None).malloc_trim(0)
