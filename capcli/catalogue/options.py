"""How a model is made smaller and how models are measured: one definition for the command line and the API."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from capcli.errors import UsageError
from capcli.evaluation.options import SPLITS
from capcli.model.options import batch_size_option, device_option
from capcli.options import one_of, option


@dataclass(frozen=True)
class CompressOptions:
    """How a model is made smaller, and where to.

    Raises:
        UsageError: if it is not said how or where to.
    """

    int8: bool = option(False, "Store the weights of all layers as int8, half the size of float16.")
    output: Path | None = option(None, "Model file to write.", flag="-o", metavar="FILE")
    overwrite: bool = option(False, "Replace FILE where it exists.")

    def __post_init__(self) -> None:
        if not self.int8:
            raise UsageError("say how the model is to be made smaller: --int8")
        if self.output is None:
            raise UsageError("-o FILE says where the smaller model goes")

    def target(self, source: Path) -> Path:
        """The file to write; raises UsageError where it cannot be written, or is `source` or another one's."""
        assert self.output is not None, "__post_init__ sees to that"
        path = self.output
        if path.suffix != ".safetensors":
            raise UsageError(f"-o {path} is to be a model; let its name end in .safetensors")
        if path.is_dir():
            raise UsageError(f"-o {path} is a folder; name a file")
        if os.path.realpath(path) == os.path.realpath(source):
            raise UsageError(f"-o {path} is the model itself; name another file")
        if path.exists() and not self.overwrite:
            raise UsageError(f"{path} exists; --overwrite replaces it")
        if not path.parent.is_dir():
            raise UsageError(f"-o {path}: its folder does not exist; make it first")
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise UsageError(f"-o {path} may not be written (permission denied)")
        return path


@dataclass(frozen=True)
class MeasureOptions:
    """On what models are measured, and where.

    Raises:
        UsageError: for an unknown split, and for one without `data`.
    """

    data: Path | None = option(None, "Caption this data set's pictures and score the captions.", metavar="DATASET")
    split: str | None = option(
        None,
        "With --data: images to take; by default dev, or where there is none what training held out.",
        metavar="|".join(SPLITS),
    )
    pictures: Path | None = option(
        None, "Photographs, or a folder of them, to take the time on; by default made ones.", metavar="PATH"
    )
    device: str = device_option()
    batch_size: int = batch_size_option()

    def __post_init__(self) -> None:
        one_of("split", self.split, SPLITS)
        if self.split is not None and self.data is None:
            raise UsageError("--split says which images of a data set to score on: add --data DATASET")
