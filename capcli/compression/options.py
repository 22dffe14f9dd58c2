"""How a model is made smaller and how models are measured: one definition for the command line and the API."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from capcli.errors import UsageError
from capcli.evaluation.options import HELD_OUT, SPLITS
from capcli.model.options import batch_size_option, device_option
from capcli.modelfile.target import check_model_target
from capcli.options import check_choice, option


@dataclass(frozen=True)
class CompressOptions:
    """How a model is made smaller, and where to.

    Raises:
        UsageError: if it is not said how or where to, and for options that contradict each other.
    """

    prune: float | None = option(
        None, "Make this share of the layers' weights zero and leave them out of the file.", metavar="SHARE"
    )
    int8: bool = option(
        False, "Store the weights of all layers as int8, half the size of float16. ONNX Runtime gets no faster by it."
    )
    output: Path | None = option(None, "Model file to write.", flag="-o", metavar="FILE")
    overwrite: bool = option(False, "Replace FILE where it exists.")
    recipe: str | None = option(
        None,
        "With --prune and --data: recipe to fine-tune by, by default pruned, which ships; none leaves that out.",
        metavar="NAME|FILE|none",
    )
    run: Path | None = option(
        None, "Folder of the fine-tuning's checkpoints, by default runs/FILE; a stopped one goes on.", metavar="FOLDER"
    )

    def __post_init__(self) -> None:
        if self.prune is None and not self.int8:
            raise UsageError("say how the model is to be made smaller: --prune SHARE, --int8 or both")
        if self.prune is not None and not 0 < self.prune < 1:
            raise UsageError(f"--prune takes a share above 0 and below 1, such as 0.5, not {self.prune:g}")
        if self.prune is None and (self.recipe or self.run):
            raise UsageError("--recipe and --run are of the fine-tuning that follows --prune SHARE")
        if self.output is None:
            raise UsageError("-o FILE says where the smaller model goes")

    @property
    def method(self) -> str:
        """How, for people."""
        pruning = [] if self.prune is None else [f"pruning of {self.prune:.0%}"]
        return " and ".join(pruning + ["int8"] * self.int8)

    def fine_tuning(self, data: Path | None) -> tuple[Path, Path] | None:
        """File of the recipe and folder of the run of the fine-tuning on a data set; None where there is none.

        Raises:
            UsageError: if there is no such recipe, or one but no data.
        """
        if data is None and (self.recipe or self.run):
            raise UsageError("--recipe and --run need --data DATASET, whose training pictures to fine-tune on")
        if data is None or self.prune is None or self.recipe == "none":
            return None
        from capcli.training.command import find_recipe

        assert self.output is not None, "__post_init__ sees to that"
        return find_recipe(self.recipe or "pruned"), self.run or Path("runs") / self.output.stem

    def target(self, source: Path) -> Path:
        """The file to write; raises UsageError where it cannot be written, or is `source` or another one's."""
        assert self.output is not None, "__post_init__ sees to that"
        path = self.output
        if os.path.realpath(path) == os.path.realpath(source):
            raise UsageError(f"-o {path} is the model itself; name another file")
        check_model_target(path, overwrite=self.overwrite)
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
        choices=(*SPLITS, HELD_OUT),
        metavar="SPLIT",
    )
    pictures: Path | None = option(
        None, "Photographs, or a folder of them, to take the time on; by default made ones.", metavar="PATH"
    )
    device: str = device_option()
    batch_size: int = batch_size_option()

    def __post_init__(self) -> None:
        check_choice("split", self.split, (*SPLITS, HELD_OUT))
        if self.split is not None and self.data is None:
            raise UsageError("--split says which images of a data set to score on: add --data DATASET")
