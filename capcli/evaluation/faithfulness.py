"""Do heatmaps tell the truth? Covering what a map says that a word comes from must cost that word most."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from capcli.arrays import BoolArray, Float32Array, Float64Array, IntArray, UInt8Array
from capcli.attribution.cover import cover
from capcli.decoding.options import DecodingOptions
from capcli.errors import UsageError
from capcli.evaluation.plot import beside, lines
from capcli.evaluation.scores import Score
from capcli.metrics.bootstrap import full, interval, resample
from capcli.metrics.statistics import Sums

if TYPE_CHECKING:
    from capcli.caption import Caption
    from capcli.captioning import BaseCaptioner, Picture

FRACTIONS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
"""Shares of the regions at which the curves are taken."""

COVERED = 0.2
"""Share of the regions that is covered."""

RANDOM_COVERS = 5
"""How many random fifths the control is the mean of."""

_CLOSED_CLASSES = """
a an the this that these those some any no each every both all another other others such same own
i you he she it we they me him her us them my your his its our their mine yours hers theirs
who whom whose which what himself herself itself themselves something someone
is are was were be been being am do does did doing has have had having
can could will would may might must shall should 's 'm 're 've 'd 'll n't not
and or but nor so yet if while as because than when where there here then just very too also
of in on at to with from by for into onto over under up down out off through near next beside between behind above
below around against along across among during before after inside outside upon within without toward towards past via
"""

FUNCTION_WORDS = frozenset(_CLOSED_CLASSES.split())
"""The closed classes of English; other words may have a place in the picture."""


@dataclass(frozen=True)
class Curves:
    """How a word's probability falls and rises with the regions in some order (Petsiuk, Das and Saenko 2018, section
    3.2; here the means over one content word of each picture).

    Attributes:
        deletion: probability at each of FRACTIONS of the regions covered, the first in that order.
        insertion: at each of FRACTIONS laid open, all others covered.
        deletion_area: area under `deletion`, in [0, 1]; less is better.
        insertion_area: area under `insertion`; more is better.
    """

    deletion: tuple[float, ...]
    insertion: tuple[float, ...]
    deletion_area: Score
    insertion_area: Score


@dataclass(frozen=True)
class Faithfulness:
    """How faithful the maps of one method are; falls are of a content word's log-probability, natural logarithm.

    Attributes:
        top: mean fall where the fifth of the regions is covered that the map gives most.
        least: where the fifth is that the map gives least.
        ratio: top divided by the fall where a random fifth is covered; no value where that costs nothing.
        curves: of regions from the map's strongest on.
    """

    top: Score
    least: Score
    ratio: Score
    curves: Curves


@dataclass(frozen=True)
class Check:
    """What `check` found.

    Attributes:
        methods: how faithful each method is.
        random: mean fall where a random fifth of the regions is covered.
        random_curves: of regions in random order.
        differences: how much more `top` is with the first method than with each other one, on the same words.
        images: pictures measured.
        words: content words in their captions.
        wordless: pictures left out because their captions have none.
        samples: resamples of the pictures behind the intervals.
        seed: of what was drawn.
    """

    methods: Mapping[str, Faithfulness]
    random: Score
    random_curves: Curves
    differences: Mapping[str, Score]
    images: int
    words: int
    wordless: int
    samples: int
    seed: int

    def to_json(self) -> dict[str, object]:
        """All of it as plain values."""
        return {
            "images": self.images,
            "words": self.words,
            "images_without_content_words": self.wordless,
            "covered_share": COVERED,
            "random_covers": RANDOM_COVERS,
            "fractions": list(FRACTIONS),
            "bootstrap_samples": self.samples,
            "seed": self.seed,
            "methods": {
                name: {
                    "top": _plain(faithfulness.top),
                    "least": _plain(faithfulness.least),
                    "ratio": _plain(faithfulness.ratio),
                    **_plain_curves(faithfulness.curves),
                }
                for name, faithfulness in self.methods.items()
            },
            "random": {"fall": _plain(self.random), **_plain_curves(self.random_curves)},
            "differences_of_top": {
                f"{next(iter(self.methods))} - {name}": _plain(score) for name, score in self.differences.items()
            },
        }


def check(
    captioner: BaseCaptioner,
    images: Iterable[Picture],
    *,
    methods: Sequence[str] | None = None,
    options: DecodingOptions | None = None,
    seed: int = 0,
    samples: int = 1000,
    progress: Callable[[int], None] = lambda done: None,
) -> Check:
    """Measures how faithful the maps of a model are, on its own captions.

    For each content word of a caption the fifth of the regions is covered that a map gives most (`cover` blurs it in
    the picture, which then goes through the whole model again), and the fall of the word's log-probability, the words
    before it given, is compared with that of five random fifths and of the fifth that the map gives least. The curves
    are of one content word of each picture, which the seed draws.

    Args:
        captioner: the model.
        images: as `Captioner.caption` takes them, several.
        methods: of `capcli.attribution.methods.METHODS`; by default all that the model has maps by.
        options: of decoding the captions, in place of the model's own.
        seed: of the random covers, of ties in maps and of the resamples.
        samples: resamples of the pictures for 95 % intervals.
        progress: called with the number of pictures that are done.

    Raises:
        UsageError: for no or an unknown method, one that the model has no maps by, no resample, or if no caption has
            a content word.
        UnreadableImage: for the first picture that cannot be read.
    """
    methods = captioner.methods if methods is None else methods
    if not methods or samples < 1:
        raise UsageError("a check takes at least one method and one resample")
    rows, words, wordless = [], 0, 0
    for done, image in enumerate(images, 1):
        generator = np.random.default_rng([seed, done])
        row = _measured(captioner, captioner.prepare(image), methods, options, generator)
        if row is None:
            wordless += 1
        else:
            rows.append(row)
            words += row.words
        progress(done)
    if not rows:
        raise UsageError("no caption has a word that a place in the picture could be found for; take other pictures")
    return _summary(rows, methods, words, wordless, samples, seed)


@dataclass(frozen=True)
class _Row:
    """One picture: sums over its content words, and the probabilities of one of them by order and share.

    `falls` is methods x (top, least), `curves` (methods and random) x (deletion, insertion) x FRACTIONS.
    """

    words: int
    random: float
    falls: Float64Array
    curves: Float64Array


class _Covers:
    """Covers of one picture that are to be measured, numbered in the order in which they are asked for."""

    def __init__(self, regions: int) -> None:
        self._regions = regions
        self.masks: list[BoolArray] = []

    def of(self, places: IntArray) -> int:
        """The number of the cover of these regions."""
        mask = np.zeros(self._regions, bool)
        mask[places] = True
        self.masks.append(mask)
        return len(self.masks) - 1


def _measured(
    captioner: BaseCaptioner,
    array: UInt8Array,
    methods: Sequence[str],
    options: DecodingOptions | None,
    generator: np.random.Generator,
) -> _Row | None:
    attended = [captioner.attend_arrays(array[None], options, method=method)[0] for method in methods]
    words = [word.text for word in attended[0].words]
    content = [place for place, word in enumerate(words) if is_content(word)]
    if not content:
        return None
    drawn = int(generator.choice(content))
    regions = math.prod(captioner.grid)
    some = max(1, round(COVERED * regions))
    inner = [round(share * regions) for share in FRACTIONS[1:-1]]

    # Regions from a map's strongest on; equal ones, mostly zeros, in random order.
    orders = [
        {place: np.lexsort((generator.random(regions), -_map(caption, place))) for place in content}
        for caption in attended
    ]
    covers = _Covers(regions)
    at_random = [covers.of(generator.permutation(regions)[:some]) for _ in range(RANDOM_COVERS)]
    ends = [
        ([covers.of(order[place][:some]) for place in content], [covers.of(order[place][-some:]) for place in content])
        for order in orders
    ]
    everything = covers.of(np.arange(regions))
    curves = [
        ([covers.of(order[:count]) for count in inner], [covers.of(order[count:]) for count in inner])
        for order in (*(order[drawn] for order in orders), generator.permutation(regions))
    ]

    whole = captioner.log_probabilities(array[None], words)[0]
    covered = captioner.log_probabilities(cover(array, np.stack(covers.masks), captioner.grid, captioner.box), words)
    falls = whole - covered
    seen, unseen = np.exp(whole[drawn]), np.exp(covered[everything, drawn])
    return _Row(
        len(content),
        float(falls[at_random][:, content].mean(0).sum()),
        np.array([[falls[top, content].sum(), falls[least, content].sum()] for top, least in ends]),
        np.array(
            [
                [[seen, *np.exp(covered[deleted, drawn]), unseen], [unseen, *np.exp(covered[inserted, drawn]), seen]]
                for deleted, inserted in curves
            ]
        ),
    )


def is_content(word: str) -> bool:
    """Whether a word of a caption may stand for something in the picture: no function word, no sign."""
    return word not in FUNCTION_WORDS and any(map(str.isalnum, word))


def _map(caption: Caption, place: int) -> Float32Array:
    weights = caption.words[place].attention
    assert weights is not None, "attend_arrays sees to that"
    return weights.ravel()


def _summary(rows: Sequence[_Row], methods: Sequence[str], words: int, wordless: int, samples: int, seed: int) -> Check:
    count, each = len(rows), 2 * len(methods)
    curves = np.stack([row.curves for row in rows])
    # The trapezoidal rule, as the shares of the regions are not evenly spaced.
    areas = ((curves[..., 1:] + curves[..., :-1]) / 2 * np.diff(FRACTIONS)).sum(-1)
    columns = [
        np.array([[row.words, row.random] for row in rows], float),
        np.stack([row.falls for row in rows]).reshape(count, -1),
        areas.reshape(count, -1),
        np.ones((count, 1)),
    ]

    def formula(sums: Float64Array) -> Float64Array:
        per_word = sums[..., 1 : 2 + each] / sums[..., :1]
        random, tops = per_word[..., :1], per_word[..., 1::2]
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = np.where(random > 0, tops / random, np.nan)
        areas = sums[..., 2 + each : -1] / sums[..., -1:]
        return np.concatenate([per_word, areas, ratios, tops[..., :1] - tops[..., 1:]], -1)

    names = (
        "random",
        *(f"{method} {which}" for method in methods for which in ("top", "least")),
        *(f"{method} {which}" for method in (*methods, "random") for which in ("deletion", "insertion")),
        *(f"{method} ratio" for method in methods),
        *(f"{method} difference" for method in methods[1:]),
    )
    statistics = Sums(names, np.concatenate(columns, 1), formula)
    values = dict(zip(names, full(statistics, count).tolist(), strict=True))
    spread = resample([statistics], count, samples, seed) if count > 1 else {}

    def score(name: str) -> Score:
        if math.isnan(values[name]):
            return Score(None, None, None, "covering at random costs nothing")
        if name not in spread:
            return Score(values[name], None, None, "a single picture says nothing about others")
        if np.isnan(spread[name]).any():
            return Score(values[name], None, None, "covering at random costs nothing in some resamples")
        return Score(values[name], *interval(spread[name]), None)

    drawn = {
        name: Curves(tuple(deletion), tuple(insertion), score(f"{name} deletion"), score(f"{name} insertion"))
        for name, (deletion, insertion) in zip((*methods, "random"), curves.mean(0).tolist(), strict=True)
    }
    return Check(
        {
            method: Faithfulness(
                score(f"{method} top"), score(f"{method} least"), score(f"{method} ratio"), drawn[method]
            )
            for method in methods
        },
        score("random"),
        drawn["random"],
        {method: score(f"{method} difference") for method in methods[1:]},
        count,
        words,
        wordless,
        samples,
        seed,
    )


def curves(check: Check) -> bytes:
    """Deletion and insertion curves of all methods, and of regions in random order, as an SVG file."""
    found = {
        **{name: faithfulness.curves for name, faithfulness in check.methods.items()},
        "random": check.random_curves,
    }
    deletion = {name: drawn.deletion for name, drawn in found.items()}
    insertion = {name: drawn.insertion for name, drawn in found.items()}
    areas = "; ".join(
        f"{name} {drawn.deletion_area.value:.3f}, {drawn.insertion_area.value:.3f}" for name, drawn in found.items()
    )
    alt = f"Areas under the deletion and the insertion curve: {areas}"
    return beside(
        [
            (
                "Deletion: lower is better",
                lines(FRACTIONS, deletion, ("share of the regions covered", "probability of the word"), alt),
            ),
            (
                "Insertion: higher is better",
                lines(FRACTIONS, insertion, ("share of the regions laid open", "probability of the word"), alt),
            ),
        ]
    )


def _plain(score: Score) -> dict[str, object]:
    return {"value": score.value, "interval": None if score.low is None else [score.low, score.high]}


def _plain_curves(curves: Curves) -> dict[str, object]:
    return {
        "deletion": list(curves.deletion),
        "insertion": list(curves.insertion),
        "deletion_area": _plain(curves.deletion_area),
        "insertion_area": _plain(curves.insertion_area),
    }
