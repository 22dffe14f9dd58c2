"""The confidence of a caption: from the probabilities of its words to how often such captions are good."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from capcli.arrays import BoolArray, Float32Array, Float64Array

GOOD = 0.5
"""Least CIDEr-D of a good caption, against the references people wrote; people reach 0.82 on Flickr8k."""

_STEPS = 100
_FEWEST = 50

_COMPONENTS = 2
"""How many directions tell kinds of pictures apart; on the dev pictures of `base` up to 15 tell no more."""


@dataclass(frozen=True)
class Calibration:
    """The probability that a caption is good, `1 / (1 + exp(-(slope * log m + intercept)))`, where m is the
    geometric mean of the probabilities of its words (Platt 1999, section 2, with log m in place of a margin).

    Attributes:
        slope: above 0, so that a surer caption never has a lower confidence.
        intercept: log-odds at m = 1.
        table: rows of (confidence c, share of good captions among those of confidence c or more, their number),
            on the pictures it was fitted to.

    Raises:
        ValueError: for numbers out of range.
    """

    slope: float
    intercept: float
    table: tuple[tuple[float, float, int], ...] = ()

    def __post_init__(self) -> None:
        if not (math.isfinite(self.slope) and math.isfinite(self.intercept) and self.slope > 0):
            raise ValueError(f"a calibration of slope {self.slope} and intercept {self.intercept} orders nothing")

    def __call__(self, mean_probability: float) -> float:
        """Confidence in (0, 1) of a caption with the geometric mean `mean_probability`, in (0, 1]."""
        # Both ends are kept apart from 0 and 1, where the exponential would overflow or the logarithm has no value.
        odds = self.slope * math.log(max(mean_probability, 1e-30)) + self.intercept
        return 1.0 / (1.0 + math.exp(-min(max(odds, -700.0), 700.0)))

    @classmethod
    def fit(
        cls, mean_probabilities: ArrayLike, good: ArrayLike, weights: ArrayLike | None = None
    ) -> Calibration | None:
        """The calibration of greatest likelihood, with Platt's smoothed targets (1999, section 2.2).

        Args:
            mean_probabilities: of each caption, in (0, 1].
            good: whether each is good.
            weights: how much each counts, above 0 and 1 in the mean; by default all count the same.

        Returns:
            None where there is none: fewer than 50 captions, all good or all bad, or no better ones among the surer.
        """
        logs, is_good, counted = _prepare(mean_probabilities, good, weights)
        solution = _regress(logs[:, None], is_good, counted)
        if solution is None:
            return None
        fitted = cls(float(solution[0]), float(solution[1]))
        confidences = np.array([fitted(math.exp(value)) for value in logs])
        return cls(fitted.slope, fitted.intercept, _table(confidences, is_good, counted))

    def to_json(self) -> dict[str, object]:
        """Plain values; `from_json` takes them back."""
        return {"slope": self.slope, "intercept": self.intercept, "table": [list(row) for row in self.table]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Calibration:
        """Raises TypeError, KeyError or ValueError for values that `to_json` did not give."""
        rows = tuple((float(c), float(share), int(count)) for c, share, count in values["table"])
        return cls(float(values["slope"]), float(values["intercept"]), rows)


@dataclass(frozen=True, eq=False)
class PictureCalibration:
    """A calibration whose intercept a linear layer over the mean of the picture's regions moves.

    Captions of one kind of picture are good more often than equally probable ones of another.

    Attributes:
        calibration: where the layer gives 0.
        weight: float32 D, finite.
    """

    calibration: Calibration
    weight: Float32Array

    def of_pictures(self, pooled: Float32Array) -> list[Calibration]:
        """That of each picture, from B x D means of regions."""
        moves = (pooled @ self.weight).tolist()
        return [replace(self.calibration, intercept=self.calibration.intercept + move) for move in moves]

    @classmethod
    def fit(
        cls, mean_probabilities: ArrayLike, pooled: Float32Array, good: ArrayLike, weights: ArrayLike | None = None
    ) -> PictureCalibration | None:
        """As `Calibration.fit`, with the first principal components of N x D means of regions beside log m."""
        logs, is_good, counted = _prepare(mean_probabilities, good, weights)
        middle = np.average(pooled, axis=0, weights=counted)
        _, sizes, directions = np.linalg.svd((pooled - middle) * np.sqrt(counted)[:, None], full_matrices=False)
        directions = directions[:_COMPONENTS] / sizes[:_COMPONENTS, None] * math.sqrt(counted.sum())
        features = np.concatenate([logs[:, None], (pooled - middle) @ directions.T], 1)
        solution = _regress(features, is_good, counted)
        if solution is None:
            return None
        slope, *odds, intercept = solution.tolist()
        weight = (odds @ directions).astype(np.float32)
        return cls(Calibration(slope, float(intercept - middle @ weight)), weight)


def _prepare(
    mean_probabilities: ArrayLike, good: ArrayLike, weights: ArrayLike | None
) -> tuple[Float64Array, BoolArray, Float64Array]:
    """The log of each mean probability, whether each is good, and how much it counts."""
    logs = np.log(np.maximum(mean_probabilities, 1e-30))
    return logs, np.asarray(good, bool), np.ones_like(logs) if weights is None else np.asarray(weights, float)


def _regress(features: Float64Array, good: BoolArray, counted: Float64Array) -> Float64Array | None:
    """The F weights and the intercept of a logistic regression with Platt's smoothed targets, N x F features; None
    where there is none, or the first weight is not above 0.
    """
    positive = int(good.sum())
    negative = len(good) - positive
    if len(good) < _FEWEST or not positive or not negative:
        return None
    target = np.where(good, (positive + 1) / (positive + 2), 1 / (negative + 2))
    design = np.concatenate([features, np.ones((len(good), 1))], 1)
    solution = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-design @ solution))
        gradient = design.T @ (counted * (target - p))
        hessian = design.T @ (design * (counted * p * (1 - p))[:, None]) + 1e-9 * np.eye(len(solution))
        step = np.linalg.solve(hessian, gradient)
        # A full Newton step from far away may overshoot; the likelihood is concave, so short ones arrive too.
        solution += step * min(1.0, 2.0 / max(np.abs(step).max(), 1e-12))
        if np.abs(step).max() < 1e-10:
            break
    return solution if solution[0] > 0 else None


def compute_confidence(log_probabilities: Sequence[float], calibration: Calibration | None) -> float:
    """The confidence, 0 to 1, of a caption.

    Args:
        log_probabilities: natural logarithms, of the words that the model chose and of the end; none are certain.
        calibration: of the model; without one the confidence is the geometric mean of the probabilities.
    """
    mean = math.exp(sum(log_probabilities) / len(log_probabilities)) if log_probabilities else 1.0
    return mean if calibration is None else calibration(mean)


def _table(confidences: Float64Array, good: BoolArray, weights: Float64Array) -> tuple[tuple[float, float, int], ...]:
    rows = []
    for tenth in range(10):
        chosen = confidences >= tenth / 10
        if chosen.any():
            rows.append((tenth / 10, float(np.average(good[chosen], weights=weights[chosen])), int(chosen.sum())))
    return tuple(rows)
