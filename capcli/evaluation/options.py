"""What is evaluated, how, and where the reports go: one definition for the command line and the API."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from capcli.attribution.methods import METHODS
from capcli.errors import UsageError
from capcli.files.target import check_target
from capcli.options import check_choice, flag_of, option
from capcli.pictures.kinds import refuse_pictures

SPLITS = ("test", "dev", "train", "all")
"""Images of a data set, by what it says of them."""

HELD_OUT = "held-out"
"""Images of a data set without a dev split that the model's training left out."""


@dataclass(frozen=True)
class DatasetOptions:
    """Which images of a data set are captioned and scored, and where the captions are kept.

    Raises:
        UsageError: for an unknown split, and for options that contradict each other or lack another.
    """

    split: str | None = option(
        None,
        "Images to take; by default test, or the only split there is.",
        choices=(*SPLITS, HELD_OUT),
        metavar="SPLIT",
    )
    allow_missing: bool = option(False, "Score what can be scored, and say how many cannot.")
    retrieval: bool = option(
        False, "Also how well the DATASET's pictures and their references find each other, by the model's matcher."
    )
    predictions_out: Path | None = option(None, "Keep the captions here, as JSON lines.", metavar="FILE")
    resume: bool = option(False, "Skip images that --predictions-out holds, and go on with it.")
    resume_anyway: bool = option(False, "Resume even if another model or other options made what it holds.")
    overwrite: bool = option(False, "Replace reports that are there, and begin --predictions-out anew.")

    def __post_init__(self) -> None:
        check_choice("split", self.split, (*SPLITS, HELD_OUT))
        if self.predictions_out and self.predictions_out.suffix.lower() not in (".jsonl", ".ndjson"):
            raise UsageError(f"--predictions-out {self.predictions_out} holds JSON lines; let its name end in .jsonl")
        if self.resumes and not self.predictions_out:
            raise UsageError("--resume needs --predictions-out FILE")
        if self.resumes and self.overwrite:
            raise UsageError("--overwrite and --resume contradict each other")

    @property
    def resumes(self) -> bool:
        """Whether the captions that are kept count."""
        return self.resume or self.resume_anyway


@dataclass(frozen=True)
class ReferenceOptions:
    """Which references captions are scored against.

    Raises:
        UsageError: for an unknown split.
    """

    split: str | None = option(
        None, "Images to take; by default test, or the only split there is.", choices=SPLITS, metavar="SPLIT"
    )
    allow_missing: bool = option(False, "Score what can be scored, and say how many cannot.")

    def __post_init__(self) -> None:
        check_choice("split", self.split, SPLITS)


@dataclass(frozen=True)
class FaithfulnessOptions:
    """Which heatmaps are measured, on which pictures, and where the figures go.

    Raises:
        UsageError: for an unknown method or split.
    """

    output: Path | None = option(
        None, "Folder for the figures as JSON and the curves as SVG.", flag="-o", metavar="DIR"
    )
    method: str | None = option(
        None, "How the maps that are measured are made; by default each in turn.", choices=METHODS, metavar="METHOD"
    )
    split: str | None = option(
        None, "Images to take; by default dev, or the only split there is.", choices=SPLITS, metavar="SPLIT"
    )
    pictures: int = option(200, "How many images, drawn at random; 0 for all.", least=0, most=1_000_000)
    overwrite: bool = option(False, "Replace figures that are there.")

    def __post_init__(self) -> None:
        check_choice("method", self.method, METHODS)
        check_choice("split", self.split, SPLITS)


@dataclass(frozen=True)
class CalibrationOptions:
    """On which captioned pictures a confidence is fitted.

    Raises:
        UsageError: for an unknown split, and without `data`.
    """

    data: Path | None = option(
        None, "Pictures with references: a folder, Karpathy or COCO JSON. (required)", metavar="DATASET"
    )
    split: str | None = option(
        None, "Images to take; by default dev, or the only split there is.", choices=SPLITS, metavar="SPLIT"
    )
    pictures: int = option(1000, "How many images, drawn at random; 0 for all.", least=0, most=1_000_000)

    def __post_init__(self) -> None:
        check_choice("split", self.split, SPLITS)
        if self.data is None:
            raise UsageError("name pictures with captions by people: --data DATASET")


@dataclass(frozen=True)
class ComparingOptions:
    """How sure figures are, and which of them are left out."""

    no_java: bool = option(False, "Leave METEOR out even where there is a Java.")
    bootstrap_samples: int = option(
        1000, "Resamples of the images for 95 % intervals, and shuffles for p-values.", least=100, most=100_000
    )
    bootstrap_seed: int = option(0, "Another seed draws other ones.", least=0)


@dataclass(frozen=True)
class ScoringOptions(ComparingOptions):
    """Which figures are taken beside the usual ones."""

    human: bool = option(False, "Also score people: each reference against the others of its image.")
    training: Path | None = option(
        None, "Captions the model was trained on, a dataset or a file: how many does it repeat?", metavar="FILE"
    )
    spice: bool = option(False, "Also SPICE, which takes minutes (needs capcli[java]).")


@dataclass(frozen=True)
class ReportOptions:
    """Where the reports go beside the table on stdout."""

    output: Path | None = option(None, "Figures and all it takes to repeat them, as JSON.", flag="-o", metavar="FILE")
    per_image: Path | None = option(None, "Every image with its scores, as CSV.", metavar="FILE")
    html: Path | None = option(None, "A page with plots and the best and worst captions.", metavar="FILE")

    def named(self) -> Iterator[tuple[str, Path]]:
        """The files that are to be written, each with the option that asks for it."""
        for field in fields(self):
            path = getattr(self, field.name)
            if path is not None:
                yield field.metadata["flag"] or flag_of(field.name), path


def check_reports(
    written: Iterable[tuple[str, Path]],
    read: Iterable[Path | None],
    *,
    replace: bool = False,
    kept: Path | None = None,
    goes_on: bool = False,
) -> None:
    """Refuses what a command could not write, or would put in the place of something else unasked.

    Args:
        written: files, each with the option that asks for it.
        read: files and folders that the command reads.
        replace: whether files that are there may be replaced.
        kept: the file of --predictions-out, which is no report.
        goes_on: whether the command goes on with what that file holds.

    Raises:
        UsageError: for the first file that cannot be written, or is or would be called a picture or a film.
    """
    reading = {_real(path) for path in read if path}
    names: dict[Path, str] = {}
    for name, path in (*([("--predictions-out", kept)] if kept else []), *written):
        real = _real(path)
        replaced = path.exists() and not (goes_on and path == kept)
        # A file within a data set's folder may be one that its reader reads.
        if real in reading or (replaced and not reading.isdisjoint(real.parents)):
            raise UsageError(f"{name} {path} would replace a file that is read; name another")
        other = names.setdefault(real, name)
        if other != name:
            raise UsageError(f"{other} and {name} both name {path}; name two files")
        check_target(name, path)
        refuse_pictures(path, "figures")
        # A run that goes on replaces its reports, which covered fewer captions.
        if path.is_file() and path != kept and not (replace or goes_on):
            raise UsageError(f"{name} {path} exists; --overwrite replaces it")


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))
