"""Where a new model may go."""

from __future__ import annotations

from pathlib import Path

from capcli.errors import UsageError
from capcli.files.target import check_target

WORDS = ".words"
"""What the name of the words that a model expects ends in, where the model's has .safetensors."""


def check_model_target(path: Path, *, overwrite: bool) -> None:
    """Raises UsageError where no model can be written at `path`, or a file is there that may not be replaced: a model,
    or the words that one expects.
    """
    if path.suffix != ".safetensors":
        raise UsageError(f"-o {path} is to be a model; let its name end in .safetensors")
    for each in (path, path.with_suffix(WORDS)):
        check_target("-o", each)
        if each.exists() and not overwrite:
            raise UsageError(f"{each} exists; --overwrite replaces it")
