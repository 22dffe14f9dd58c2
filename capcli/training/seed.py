"""Seeds of every random choice of a run."""

from __future__ import annotations

import hashlib


def seed_of(*parts: object) -> int:
    """A seed from 0 to 2**63 - 1 that differs where any part does."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big") >> 1
