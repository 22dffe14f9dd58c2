"""Plots as SVG inside a page, small enough to be read on a phone at their own size.

`plot.svg` draws what is computed here. Colours and fonts come from the page through the classes `axis`, `bar`, `dot`,
`mean` and `mark`; those of a file of its own, for `lines`, from `plots.css`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from markupsafe import Markup

from capcli.arrays import Float64Array
from capcli.output.html import fragment, render

_WIDTH, _HEIGHT = 340, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 12, 10, 40
_BINS = 20
_MOST_DOTS = 3000
_LEAST_FOR_MEANS = 50
_LEGEND = 24
_SHORT = 10


def histogram(values: Float64Array, label: str, alt: str) -> Markup:
    """How many images have which score, with a line at the mean.

    Args:
        values: float array of shape (images,), none below 0.
        label: of the horizontal axis.
        alt: the text for a reader who does not see the plot.
    """
    top = _nice(float(values.max()))
    counts, edges = np.histogram(values, bins=_BINS, range=(0, top))
    axes = _Axes(top, _nice(float(counts.max()), 1.0), label, "images", 1.0)
    bars = "".join(
        f"M{axes.x(left):.1f} {axes.y(0):.1f}V{axes.y(count):.1f}H{axes.x(right) - 1:.1f}V{axes.y(0):.1f}z"
        for count, left, right in zip(counts.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True)
        if count
    )
    mean = axes.x(float(values.mean()))
    return axes.draw([("bar", bars), ("mark", f"M{mean:.1f} {axes.y(0):.1f}V{_TOP}")], alt)


def scatter(x: Float64Array, y: Float64Array, labels: tuple[str, str], alt: str) -> Markup:
    """A dot for every image (evenly chosen ones where there are very many), and the means of tenths of them.

    Args:
        x: float array of shape (images,), in [0, 1].
        y: likewise, none below 0.
        labels: of the axes.
        alt: the text for a reader who does not see the plot.
    """
    axes = _Axes(1.0, _nice(float(y.max())), *labels)
    step = math.ceil(len(x) / _MOST_DOTS)
    dots = "".join(f"M{axes.x(a):.1f} {axes.y(b):.1f}h0" for a, b in zip(x[::step].tolist(), y[::step].tolist()))  # noqa: B905
    paths = [("dot", dots)]
    if means := tenths(x, y):
        points = [f"{axes.x(a):.1f} {axes.y(b):.1f}" for a, b in means]
        paths += [("mean", f"M{'L'.join(points)}"), ("mean dots", "".join(f"M{point}h0" for point in points))]
    return axes.draw(paths, alt)


def lines(x: Sequence[float], series: Mapping[str, Sequence[float]], labels: tuple[str, str], alt: str) -> Markup:
    """A line for each series, distinguished by colour and by dashes, with a legend below.

    Args:
        x: none below 0, the same for all; a shorter series ends before the others.
        series: by name, values none below 0; at most four.
        labels: of the axes.
        alt: the text for a reader who does not see the plot.
    """
    axes = _Axes(_nice(max(x)), _nice(max(map(max, series.values()))), *labels)
    columns = min(len(series), 4 if max(map(len, series)) <= _SHORT else 2)
    paths, legend = [], []
    for number, (name, values) in enumerate(series.items()):
        points = "L".join(f"{axes.x(a):.1f} {axes.y(b):.1f}" for a, b in zip(x, values))  # noqa: B905
        row, column = divmod(number, columns)
        left, foot = _RIGHT + column * (_WIDTH - _RIGHT) / columns, _HEIGHT + (row + 1) * _LEGEND - 10
        paths.append((f"line line{number}", f"M{points}"))
        legend.append(_Name(f"line line{number}", name, left, foot))
    return axes.draw(paths, alt, legend)


def beside(plots: Sequence[tuple[str, Markup]], legend_rows: int = 1) -> bytes:
    """An SVG file of its own: plots of `lines` side by side, each below its title, with legends of so many rows."""
    width, top, height = _WIDTH + 20, 34, _HEIGHT + legend_rows * _LEGEND
    return render(
        "evaluation/plots.svg",
        plots=plots,
        across=len(plots) * width,
        down=top + height + 10,
        width=width,
        left=_LEFT,
        top=top,
        plot_width=_WIDTH,
        plot_height=height,
    )


def tenths(x: Float64Array, y: Float64Array) -> list[tuple[float, float]]:
    """Mean x and mean y of each tenth of the images by x; none where there are too few to average."""
    if len(x) < _LEAST_FOR_MEANS:
        return []
    order = np.argsort(x, kind="stable")
    return [(float(x[part].mean()), float(y[part].mean())) for part in np.array_split(order, 10)]


def rank_correlation(x: Float64Array, y: Float64Array) -> float | None:
    """Spearman's rank correlation, ties given their mean rank (Kendall and Gibbons 1990); None if one never varies."""
    first, second = _ranks(x), _ranks(y)
    if first.std() == 0 or second.std() == 0:
        return None
    return float(np.corrcoef(first, second)[0, 1])


class _Name(NamedTuple):
    """A line of a legend: the class of what it names, and where it begins."""

    kind: str
    text: str
    x: float
    y: int


class _Axes:
    """A frame from 0 to `x_top` and 0 to `y_top`, whose ticks are at least `y_step` apart."""

    def __init__(self, x_top: float, y_top: float, x_label: str, y_label: str, y_step: float = 0.0) -> None:
        self._x_top, self._y_top, self._y_step = x_top, y_top, y_step
        self._labels = x_label, y_label

    def x(self, value: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * value / self._x_top

    def y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * value / self._y_top

    def draw(self, paths: Sequence[tuple[str, str]], alt: str, legend: Sequence[_Name] = ()) -> Markup:
        """The frame with paths in it, each a class and what it draws, and below it the legend."""
        return fragment(
            "evaluation/plot.svg",
            width=_WIDTH,
            height=max([_HEIGHT, *(name.y + 10 for name in legend)]),
            left=_LEFT,
            right=_WIDTH - _RIGHT,
            top=_TOP,
            floor=_HEIGHT - _BOTTOM,
            x_ticks=[(self.x(tick), f"{tick:g}") for tick in _ticks(self._x_top)],
            y_ticks=[(self.y(tick), f"{tick:,g}") for tick in _ticks(self._y_top, self._y_step)],
            x_label=self._labels[0],
            y_label=self._labels[1],
            paths=paths,
            legend=legend,
            alt=alt,
        )


def _ranks(values: Float64Array) -> Float64Array:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def _step(top: float, least: float = 0.0) -> float:
    """A tick distance of 1, 2 or 5 times a power of ten that gives four to seven ticks, unless `least` is more."""
    power = 10.0 ** math.floor(math.log10(top / 3))
    return max(least, power * max(factor for factor in (1, 2, 5) if factor * power <= top / 3 * (1 + 1e-9)))


def _nice(top: float, least: float = 0.0) -> float:
    """The least number of whole steps that is not below `top`; 1 for what is as good as 0."""
    if top < 1e-6:
        return 1.0
    step = _step(top, least)
    return step * math.ceil(top / step - 1e-9)


def _ticks(top: float, least: float = 0.0) -> Sequence[float]:
    step = _step(top, least)
    return [round(index * step, 10) for index in range(math.floor(top / step + 1e-9) + 1)]
