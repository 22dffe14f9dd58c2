"""Results as a library keeps them, of files that need not be pictures."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from capcli.output import Result
from capcli.pictures.facts import Facts


def make_kept(path: Path, caption: str, vector: Any = None, *, taken: str | None = None, **changes: Any) -> Result:
    """What becomes of a file whose pixels are its content."""
    state = path.stat()
    pixels = hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    facts = Facts(state.st_size, state.st_mtime_ns, 4, 3, taken, pixels)
    values: dict[str, Any] = {"facts": facts, "model_sha256": "ab", "model": "fake", "confidences": (0.5,), **changes}
    given = None if vector is None else np.asarray(vector, np.float32)
    return Result(path, (caption,), vector=given, **values)
