"""Where a new model may go."""

from __future__ import annotations

from pathlib import Path

from capcli.errors import UsageError
from capcli.files.target import check_target


def check_model_target(path: Path, *, overwrite: bool) -> None:
    """Raises UsageError where no model can be written at `path`, or a file is there that may not be replaced."""
    if path.suffix != ".safetensors":
        raise UsageError(f"-o {path} is to be a model; let its name end in .safetensors")
    check_target("-o", path)
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists; --overwrite replaces it")
