"""Captions against references: every metric at once, with what chance may have had in it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice

from capcli.arrays import Float64Array
from capcli.errors import UsageError
from capcli.metrics.bleu import bleu_statistics
from capcli.metrics.bootstrap import full, interval, resample
from capcli.metrics.cider import cider_statistics
from capcli.metrics.diversity import Diversity, identity_statistics, length_statistics
from capcli.metrics.jackknife import jackknife_interval
from capcli.metrics.java import Unavailable
from capcli.metrics.meteor import Meteor
from capcli.metrics.ptb.tokenizer import ptb_tokenize_lines
from capcli.metrics.randomization import p_value, shuffle
from capcli.metrics.rouge import rouge_l_statistics
from capcli.metrics.spice import spice_statistics
from capcli.metrics.statistics import Average, Statistics

METRICS = (
    *("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "METEOR", "ROUGE-L", "CIDEr-D", "CIDEr", "SPICE"),
    *("distinct-1", "distinct-2", "vocabulary", "length", "repetition", "identical"),
)
"""In the order in which they are reported."""

_PER_IMAGE = ("BLEU-4", "METEOR", "ROUGE-L", "CIDEr-D")

_NOT_ASKED_FOR = "not asked for"
_NOT_OF_PEOPLE = "not taken of people"
_NOT_BY_TURNS = "not taken on the references that people are scored on"
_NOT_COMPARED = "not taken in comparisons"
_NO_SPREAD = "a single image says nothing about others"
_SINGLE_IMAGE = "0 by definition for a single image: no n-gram tells it from other images"

# Metrics that grow with the number of images and yet have an end.
_MOST = {"distinct-1": 1.0, "distinct-2": 1.0}

_References = Sequence[Sequence[Sequence[str]]]
_Hypotheses = Sequence[Sequence[str]]
_Measure = Callable[[_References, _Hypotheses], Statistics]
_Columns = dict[str, Float64Array]


@dataclass(frozen=True)
class Score:
    """A metric's value on the COCO toolkit's scale: 0.235 where papers print 23.5.

    Attributes:
        value: None where there is none.
        low: lower end of the 95 % interval, None without a value, without resamples and for a single image.
        high: upper end.
        why: why there is no value, or none that says anything; one clause without a final stop.
    """

    value: float | None
    low: float | None
    high: float | None
    why: str | None


@dataclass(frozen=True)
class Scores:
    """All metrics of one set of hypotheses. Two are equal where all but `per_image` is.

    Attributes:
        metrics: for each name in METRICS its score, in that order.
        per_image: for BLEU-4, METEOR (where it has a value), ROUGE-L and CIDEr-D the images' own values: float64
            arrays of shape (images,). BLEU of one sentence is that of the COCO toolkit, which is not smoothed.
        images: how many were scored.
        samples: how many resamples the intervals are from; 0 for no intervals.
        seed: of the resamples.
        left_out: images that could not be scored; see `human`.
    """

    metrics: dict[str, Score]
    per_image: dict[str, Float64Array] = field(compare=False)
    images: int
    samples: int
    seed: int
    left_out: int = 0


@dataclass(frozen=True)
class Difference:
    """A metric of two systems on the same images.

    Attributes:
        a: that of the first.
        b: that of the second.
        low: lower end of the 95 % interval of b - a, None for a single image.
        high: upper end.
        p: two-sided p-value of there being no difference, above 0 and at most 1, None for a single image.
        why: why there is neither interval nor p-value; one clause without a final stop.
    """

    a: float
    b: float
    low: float | None
    high: float | None
    p: float | None
    why: str | None = None

    @property
    def value(self) -> float:
        """By how much b is higher."""
        return self.b - self.a


@dataclass(frozen=True)
class Differences:
    """Two systems on the same images.

    Attributes:
        metrics: the difference of every metric that has values, in the order of METRICS.
        unavailable: of the others, why they have none.
        images: how many were scored.
        samples: how many resamples the intervals and how many shuffles the p-values are from.
        seed: of both.
    """

    metrics: dict[str, Difference]
    unavailable: dict[str, str]
    images: int
    samples: int
    seed: int


@dataclass(frozen=True)
class Human:
    """What a person scores, and the captions on the same references.

    Attributes:
        person: of the references, each against the others of its image.
        captions: of the hypotheses against those same references.
    """

    person: Scores
    captions: Scores


def score(
    references: Sequence[Sequence[str]],
    hypotheses: Sequence[str],
    *,
    java: bool = True,
    spice: bool = False,
    training: Collection[str] | None = None,
    samples: int = 1000,
    seed: int = 0,
    aligned: Callable[[], None] | None = None,
) -> Scores:
    """Scores captions with the COCO toolkit's tokens and metrics, and with what papers leave out.

    Intervals are percentiles of the bootstrap over images. The document frequencies of CIDEr and CIDEr-D are those
    of all references in every resample. Resamples, in which images recur, say nothing about distinct-1, distinct-2 and
    vocabulary: their intervals are the jackknife's, see `capcli.metrics.jackknife`.

    Args:
        references: for each image what people wrote about it, at least one each.
        hypotheses: a caption for each image, in the same order; an empty one is scored as no words.
        java: whether to compute METEOR, where there is a Java to do so.
        spice: whether to compute SPICE, where there is a Java to do so, and the parser.
        training: captions of the training data, to find out how many hypotheses are copies: equal in their tokens.
        samples: resamples for the intervals; 0 for none.
        seed: of the resamples.
        aligned: is called after every caption that METEOR, by far the slowest of them, has aligned.

    Raises:
        ValueError: no images, an image without references, a text in place of a list, or not as many hypotheses as
            images.
        CapcliError: a Java program fails.
    """
    _check(references, hypotheses)
    truth, said = _tokenize_references(references), ptb_tokenize_lines(hypotheses)
    with _measures(java, aligned) as (measures, why):
        parts = [measure(truth, said) for measure in measures]
    if training is None:
        why["identical"] = "needs captions of the training data"
    else:
        parts.append(identity_statistics(said, ptb_tokenize_lines(training)))
    if not spice:
        why["SPICE"] = _NOT_ASKED_FOR
    else:
        try:
            parts.append(spice_statistics(truth, said))
        except Unavailable as reason:
            why["SPICE"] = str(reason)
    return _summary(parts, why, len(said), samples, seed)


def compare(
    references: Sequence[Sequence[str]],
    a: Sequence[str],
    b: Sequence[str],
    *,
    java: bool = True,
    samples: int = 1000,
    seed: int = 0,
    aligned: Callable[[], None] | None = None,
) -> Differences:
    """How much better b is than a: intervals by the paired bootstrap over images (Koehn 2004), p-values by paired
    approximate randomization (Riezler and Maxwell 2005).

    Both are scored on the same resamples, so that images that are hard for both do not blur the difference. Intervals
    of distinct-1, distinct-2 and vocabulary are the jackknife's, as in `score`. For the p-values see
    `capcli.metrics.randomization`; one belongs to one metric, and of 13 for equal systems every second time one is
    below 0.05 if they do not depend on each other.

    Args:
        references: for each image what people wrote about it, at least one each.
        a: a caption for each image, in the same order.
        b: likewise.
        java: whether to compute METEOR, where there is a Java to do so.
        samples: resamples and shuffles, at least 1.
        seed: of both.
        aligned: as in `score`, for the captions of both.

    Raises:
        ValueError: no images, no resamples, an image without references, a text in place of a list, or not as many
            captions as images.
        CapcliError: METEOR's program fails.
    """
    if samples < 1:
        raise ValueError("a comparison needs at least one resample")
    _check(references, a, b)
    truth, said = _tokenize_references(references), [ptb_tokenize_lines(a), ptb_tokenize_lines(b)]
    with _measures(java, aligned) as (measures, why):
        first, second = ([measure(truth, hypotheses) for measure in measures] for hypotheses in said)
    why["SPICE"] = why["identical"] = _NOT_COMPARED
    metrics = _differences(first, second, len(truth), samples, seed)
    return Differences({name: metrics[name] for name in METRICS if name in metrics}, why, len(truth), samples, seed)


def _differences(
    a: Sequence[Statistics], b: Sequence[Statistics], images: int, samples: int, seed: int
) -> dict[str, Difference]:
    values_a, values_b = _values(a, images), _values(b, images)
    if images == 1:
        return {
            name: Difference(value, values_b[name], None, None, None, _NO_SPREAD) for name, value in values_a.items()
        }
    # The same seed draws the same images, which pairs the resamples.
    spreads = zip(_spread(a, images, samples, seed), _spread(b, images, samples, seed), strict=True)
    drawn, without = ({name: others[name] - column for name, column in ours.items()} for ours, others in spreads)
    values = {name: values_b[name] - value for name, value in values_a.items()}
    ends = _intervals(values, drawn, without, signed=True)
    shuffled = shuffle(a, b, images, samples, seed)
    return {
        name: Difference(values_a[name], values_b[name], *ends[name], p_value(shuffled[name], value))
        for name, value in values.items()
    }


def human(
    references: Sequence[Sequence[str]],
    hypotheses: Sequence[str],
    *,
    java: bool = True,
    samples: int = 1000,
    seed: int = 0,
    aligned: Callable[[], None] | None = None,
) -> Human:
    """What a person scores: each reference in turn against the others of its image, averaged over the turns.

    In turn t the hypothesis of an image with k references is its reference number t modulo k, and its references are
    the other k - 1; there are as many turns as the largest k. With five references each, those are five turns, and
    every reference is the hypothesis once. Document frequencies are those of a turn's references. Images with a
    single reference are left out, and `Scores.left_out` says how many.

    In every turn there is one reference less than `score` has, which makes BLEU, METEOR and ROUGE-L lower, and CIDEr
    and CIDEr-D lower or higher: a person's figures cannot be compared with those of `score`. So the captions are scored
    in the same turns, against the same references.

    Args:
        references: for each image what people wrote about it.
        hypotheses: a caption for each image, in the same order.
        java: whether to compute METEOR, where there is a Java to do so.
        samples: resamples for the intervals; 0 for none.
        seed: of the resamples.
        aligned: as in `score`; it is called `human_alignments` times.

    Returns:
        Scores of which also the images' own are averages over the turns.

    Raises:
        ValueError: a text in place of a list, or not as many hypotheses as images.
        UsageError: no image has more than one reference.
        CapcliError: METEOR's program fails.
    """
    check_people(references)
    _check(references, hypotheses, fewest=0)
    whole = zip(_tokenize_references(references), ptb_tokenize_lines(hypotheses), strict=True)
    pairs = [(sentences, words) for sentences, words in whole if len(sentences) > 1]
    images, said = [sentences for sentences, _ in pairs], [words for _, words in pairs]
    people, captions = [], []
    with _measures(java, aligned) as (measures, why):
        for turn in range(max(map(len, images))):
            rest, reference = _leave_out(images, turn)
            people.append([measure(rest, reference) for measure in measures])
            captions.append([measure(rest, said) for measure in measures])

    def averaged(turns: list[list[Statistics]], other: str) -> Scores:
        parts = [Average(corpora) for corpora in zip(*turns, strict=True)]
        reasons = {**why, "SPICE": other, "identical": other}
        return _summary(parts, reasons, len(images), samples, seed, left_out=len(references) - len(images))

    return Human(averaged(people, _NOT_OF_PEOPLE), averaged(captions, _NOT_BY_TURNS))


def check_people(references: Sequence[Sequence[str]]) -> None:
    """Raises UsageError where `human` has nobody to score: no image has more than one reference."""
    if all(len(sentences) < 2 for sentences in references):
        raise UsageError("no image has two references, and a person is scored against what others said of an image")


def human_alignments(references: Sequence[Sequence[str]]) -> int:
    """How many captions METEOR aligns in `human`: in every turn of every image a person's and the system's."""
    numbers = [len(sentences) for sentences in references if len(sentences) > 1]
    return 2 * len(numbers) * max(numbers, default=0)


def _leave_out(images: _References, turn: int) -> tuple[_References, _Hypotheses]:
    """References without the one whose turn it is, and that one as the hypothesis."""
    places = [turn % len(sentences) for sentences in images]
    rest = [[*sentences[:place], *sentences[place + 1 :]] for sentences, place in zip(images, places, strict=True)]
    return rest, [sentences[place] for sentences, place in zip(images, places, strict=True)]


def _check(references: Sequence[Sequence[str]], *systems: Sequence[str], fewest: int = 1) -> None:
    """Raises ValueError for no images, for one with fewer references than that, and where captions are more or fewer
    than images.
    """
    if not len(references):
        raise ValueError("there are no images to score")
    for number, sentences in enumerate(references, 1):
        if isinstance(sentences, str):  # whose letters would be sentences
            raise ValueError(f"the references of image {number} are {sentences!r}; give a list, even of one sentence")
        if len(sentences) < fewest:
            raise ValueError(f"image {number} has no reference")
    for captions in systems:
        if isinstance(captions, str):
            raise ValueError(f"the captions are {captions!r}; give a list, even of one sentence")
        if len(captions) != len(references):
            raise ValueError(f"there are {len(captions)} captions of {len(references)} images; give each image one")


def _tokenize_references(references: Sequence[Sequence[str]]) -> list[list[list[str]]]:
    tokens = iter(ptb_tokenize_lines([caption for captions in references for caption in captions]))
    return [list(islice(tokens, len(captions))) for captions in references]


def _by_words(measure: _Measure) -> _Measure:
    """The toolkit's BLEU and CIDEr split tokens like "1 1/2" at the no-break space that is in them."""

    def split(sentences: Iterable[Sequence[str]]) -> list[list[str]]:
        return [" ".join(tokens).split() for tokens in sentences]

    return lambda references, hypotheses: measure([split(sentences) for sentences in references], split(hypotheses))


@contextlib.contextmanager
def _measures(java: bool, aligned: Callable[[], None] | None) -> Iterator[tuple[list[_Measure], dict[str, str]]]:
    """The metrics to compute, and why one of them is missing."""
    measures: list[_Measure] = [
        _by_words(bleu_statistics),
        rouge_l_statistics,
        _by_words(cider_statistics),
        lambda _, hypotheses: Diversity(hypotheses),
        lambda _, hypotheses: length_statistics(hypotheses),
    ]
    why: dict[str, str] = {}
    with contextlib.ExitStack() as programs:
        if not java:
            why["METEOR"] = _NOT_ASKED_FOR
        else:
            try:
                # Comes last, so that the program starts while the others are computed.
                measures.append(programs.enter_context(Meteor(aligned)).statistics)
            except Unavailable as reason:
                why["METEOR"] = str(reason)
        yield measures, why


def _values(parts: Iterable[Statistics], images: int) -> dict[str, float]:
    return {name: float(value) for part in parts for name, value in zip(part.names, full(part, images), strict=True)}


def _spread(parts: Sequence[Statistics], images: int, samples: int, seed: int) -> tuple[_Columns, _Columns]:
    """Metrics of the resamples; and of metrics that resamples would mislead about, those without each image."""
    drawn = resample([part for part in parts if not part.grows], images, samples, seed)
    without = [zip(part.names, part.without_each().T, strict=True) for part in parts if part.grows]
    return drawn, dict(chain(*without))


def _intervals(
    values: Mapping[str, float], drawn: _Columns, without: _Columns, *, signed: bool = False
) -> dict[str, tuple[float, float]]:
    """Intervals of all metrics, or of their differences, which are signed."""
    ends = {name: interval(column) for name, column in drawn.items()}
    for name, column in without.items():
        most = _MOST.get(name, math.inf)
        ends[name] = jackknife_interval(values[name], column, -most if signed else 0.0, most)
    return ends


def _summary(
    parts: Sequence[Statistics], why: Mapping[str, str], images: int, samples: int, seed: int, left_out: int = 0
) -> Scores:
    values = _values(parts, images)
    # The only resample of a single image is itself, and that is no certainty.
    ends = _intervals(values, *_spread(parts, images, samples, seed)) if samples and images > 1 else {}
    metrics = {}
    for name in METRICS:
        low, high = ends.get(name, (None, None))
        single = images == 1 and name in ("CIDEr-D", "CIDEr")
        metrics[name] = Score(values.get(name), low, high, _SINGLE_IMAGE if single else why.get(name))
    own = {name: value for part in parts for name, value in part.per_image().items()}
    per_image = {name: own[name] for name in _PER_IMAGE if name in own}
    return Scores(metrics, per_image, images, samples, seed, left_out)
