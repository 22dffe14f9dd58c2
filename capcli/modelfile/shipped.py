"""Where the models that ship with capcli lie."""

from __future__ import annotations

from pathlib import Path

from capcli.errors import ModelError

# In a wheel the weights lie inside the package, which goes first (the later one wins); in a checkout, beside it.
_FOLDERS = (Path(__file__).parents[2] / "weights", Path(__file__).parents[1] / "weights")


def shipped_models() -> dict[str, Path]:
    """Files of the shipped models by name."""
    return {file.stem: file for folder in _FOLDERS for file in sorted(folder.glob("*.safetensors"))}


def shipped_folders() -> tuple[Path, ...]:
    """Where they may lie."""
    return _FOLDERS


def is_repository(model: str | Path) -> bool:
    """Whether this names a model of Hugging Face: `hf:OWNER/NAME`, or a folder."""
    return str(model).startswith("hf:") or (str(model) not in shipped_models() and Path(model).is_dir())


def find_model(model: str | Path) -> Path:
    """The file of a model given by name or by path; raises ModelError where there is none."""
    models = shipped_models()
    if str(model) in models:
        return models[str(model)]
    if Path(model).is_file():
        return Path(model)
    if is_repository(model):
        raise ModelError(f"{model} is a model of Hugging Face, and this takes one of capcli's own, such as base")
    names = ", ".join(models) or "none (this installation lacks its weights)"
    raise ModelError(f"{model}: no such model file, and no shipped model of that name; shipped: {names}")
