"""What a model file says that it was chosen on, made from and measured at; nobody has checked it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# As training names them, "dev flickr8k", and as cards do: "Flickr8k test"; "COCO thumbnails, held out".
_PART_FIRST = re.compile(r"(dev|test) (.+)")
_PART_LAST = re.compile(r"(.+?),? (dev|test|held[ -]out)")


@dataclass(frozen=True)
class History:
    """How a model came about.

    Attributes:
        described: what the file's header says of the model.
    """

    described: Mapping[str, Any]

    @property
    def origin(self) -> Mapping[str, object]:
        """Of a model that was made smaller: `model`, `sha256`, `method` and `scores` of what it was made of, and
        `fine_tuning` where that followed.
        """
        origin: Mapping[str, object] = self.described["origin"]
        return origin

    @property
    def recipe(self) -> Mapping[str, object]:
        """What trained it, as plain values."""
        recipe: Mapping[str, object] = self.described["recipe"]
        return recipe

    @property
    def scores(self) -> dict[str, dict[str, float]]:
        """The figures it was measured at, by data set and metric; what is no such figure is left out."""
        return _figures(self.described["scores"])

    @property
    def chosen_on(self) -> list[str]:
        """Data sets whose dev or held-out pictures it has figures of, because these chose its weights, and those it was
        fine-tuned on. It may have learnt from more.
        """
        scores = _figures(self.origin.get("scores")) or self.scores
        parts = (_part_of(name) for name in scores)
        names = [dataset for dataset, part in parts if part in ("dev", "held out")]
        tuned = self.fine_tuning.get("data")
        return list(dict.fromkeys([*names, *(map(str, tuned) if isinstance(tuned, list) else ())]))

    @property
    def fine_tuning(self) -> Mapping[str, object]:
        """What followed when it was made smaller: `recipe` and names of `data`; empty where nothing did."""
        tuning = self.origin.get("fine_tuning")
        return tuning if isinstance(tuning, dict) else {}

    def best_known(self, part: str, metric: str = "CIDEr-D") -> float | None:
        """The metric on the first data set with pictures of that part, "dev" or "test"; None where there is none."""
        for name, figures in self.scores.items():
            if _part_of(name)[1] == part and metric in figures:
                return figures[metric]
        return None


def _figures(scores: object) -> dict[str, dict[str, float]]:
    if not isinstance(scores, dict):
        return {}
    numbers = {
        name: {key: value for key, value in figures.items() if _is_figure(value)}
        for name, figures in scores.items()
        if isinstance(figures, dict)
    }
    return {name: figures for name, figures in numbers.items() if figures}


def _is_figure(value: object) -> bool:
    # A stranger's number may also be too large to be printed, or none.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -1e9 < value < 1e9


def _part_of(name: str) -> tuple[str, str | None]:
    """Data set and part, "dev", "test" or "held out", that scores are named after."""
    if first := _PART_FIRST.fullmatch(name):
        return first[2], first[1]
    if last := _PART_LAST.fullmatch(name):
        return last[1], last[2].replace("-", " ")
    return name, None
