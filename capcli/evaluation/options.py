"""What is evaluated, how, and where the reports go: one definition for the command line and the API."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from capcli.errors import UsageError
from capcli.files.target import check_target
from capcli.options import flag_of, option

SPLITS = ("test", "dev", "train", "all", "held-out")


@dataclass(frozen=True)
class SourceOptions:
    """Whose captions are scored, against which references.

    Raises:
        UsageError: for an unknown split, and for options that contradict each other or lack another.
    """

    split: str | None = option(
        None, "Images to take; by default test, or the only split there is.", metavar="|".join(SPLITS)
    )
    predictions: Path | None = option(
        None, "Score these captions: rows of capcli in any format, COCO's list of results, or a table.", metavar="FILE"
    )
    compare: tuple[Path, Path] | None = option(
        None, "Two such files: is the second better than the first?", metavar="FILE FILE"
    )
    references: Path | None = option(
        None, "What they are scored against: COCO or Karpathy JSON, JSON lines, CSV or a dataset.", metavar="FILE"
    )
    allow_missing: bool = option(False, "Score what can be scored, and say how many cannot.")
    predictions_out: Path | None = option(None, "Keep the DATASET's captions here, as JSON lines.", metavar="FILE")
    resume: bool = option(False, "Skip images that --predictions-out holds, and go on with it.")
    overwrite: bool = option(False, "Replace reports that are there, and begin --predictions-out anew.")

    def __post_init__(self) -> None:
        if self.split is not None and self.split not in SPLITS:
            raise UsageError(f"split must be one of {', '.join(SPLITS)}, not {self.split!r}")
        if self.split == "held-out" and self.made:
            raise UsageError("--split held-out is for a DATASET to caption: what the model's training held out of it")
        if self.predictions and self.compare:
            raise UsageError("--predictions scores one file and --compare two; give one of them")
        made = "--predictions" if self.predictions else "--compare" if self.compare else None
        if made and not self.references:
            raise UsageError(f"{made} needs --references FILE, what people wrote about the images")
        if self.references and not made:
            raise UsageError("--references needs --predictions FILE or --compare FILE FILE, the captions to score")
        if made and self.predictions_out:
            raise UsageError(f"--predictions-out keeps captions that are made, and with {made} none are")
        if self.predictions_out and self.predictions_out.suffix.lower() not in (".jsonl", ".ndjson"):
            raise UsageError(f"--predictions-out {self.predictions_out} holds JSON lines; let its name end in .jsonl")
        if self.resume and not self.predictions_out:
            raise UsageError("--resume needs --predictions-out FILE")
        if self.resume and self.overwrite:
            raise UsageError("--overwrite and --resume contradict each other")

    @property
    def made(self) -> bool:
        """Whether the captions are there already."""
        return bool(self.predictions or self.compare)


@dataclass(frozen=True)
class CheckOptions:
    """Whether and on which pictures the faithfulness of heatmaps is measured.

    Raises:
        UsageError: for an unknown split, and for options that need `check`.
    """

    check: Path | None = option(
        None, "Draw nothing, but measure on this data set whether the maps tell the truth.", metavar="DATASET"
    )
    split: str | None = option(
        None, "With --check: images to take; by default dev, or the only split there is.", metavar="|".join(SPLITS[:4])
    )
    pictures: int | None = option(
        None, "With --check: how many images, drawn at random; by default 200, 0 for all.", least=0, most=1_000_000
    )

    def __post_init__(self) -> None:
        if self.split is not None and self.split not in SPLITS[:4]:
            raise UsageError(f"split must be one of {', '.join(SPLITS[:4])}, not {self.split!r}")
        for name in ("split", "pictures"):
            if getattr(self, name) is not None and self.check is None:
                raise UsageError(f"--{name} says which images of a data set to measure on: add --check DATASET")


@dataclass(frozen=True)
class ScoringOptions:
    """Which figures are taken."""

    human: bool = option(False, "Also score people: each reference against the others of its image.")
    retrieval: bool = option(
        False, "Also how well the DATASET's pictures and their references find each other, by the model's matcher."
    )
    training: Path | None = option(
        None, "Captions the model was trained on, a dataset or a file: how many does it repeat?", metavar="FILE"
    )
    no_java: bool = option(False, "Leave METEOR out even where there is a Java.")
    spice: bool = option(False, "Also SPICE, which takes minutes (needs capcli\\[java]).")
    bootstrap_samples: int = option(
        1000, "Resamples of the images for 95 % intervals, and shuffles for p-values.", least=100, most=100_000
    )
    bootstrap_seed: int = option(0, "Another seed draws other ones.", least=0)


@dataclass(frozen=True)
class ReportOptions:
    """Where the reports go beside the table on stdout."""

    output: Path | None = option(None, "Figures and all it takes to repeat them, as JSON.", flag="-o", metavar="FILE")
    per_image: Path | None = option(None, "Every image with its scores, as CSV.", metavar="FILE")
    html: Path | None = option(None, "A page with plots and the best and worst captions.", metavar="FILE")

    def check(self, source: SourceOptions, scoring: ScoringOptions, dataset: Path | None) -> None:
        """Raises UsageError where a report could not be written, or would take the place of what is there unasked.

        A run that is resumed replaces its reports, which told of fewer captions; nothing replaces what is read.
        """
        named = (dataset, source.predictions, source.references, scoring.training, *(source.compare or ()))
        read = {_real(path) for path in named if path}
        written: dict[Path, str] = {}
        for name, path in self._files(source):
            real = _real(path)
            replaced = path.exists() and not (source.resume and path == source.predictions_out)
            # A file within a data set's folder may be one that its reader reads.
            if real in read or (replaced and not read.isdisjoint(real.parents)):
                raise UsageError(f"{name} {path} would replace a file that is read; name another")
            other = written.setdefault(real, name)
            if other != name:
                raise UsageError(f"{other} and {name} both name {path}; name two files")
            check_target(name, path)
            if path.is_file() and path != source.predictions_out and not (source.overwrite or source.resume):
                raise UsageError(f"{name} {path} exists; --overwrite replaces it")

    def _files(self, source: SourceOptions) -> Iterator[tuple[str, Path]]:
        if source.predictions_out:
            yield "--predictions-out", source.predictions_out
        for field in fields(self):
            path = getattr(self, field.name)
            if path is not None:
                yield field.metadata["flag"] or flag_of(field.name), path


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))
