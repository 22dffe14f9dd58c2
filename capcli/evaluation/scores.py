"""Captions against references: every metric at once, with what chance may have had in it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from capcli.errors import UsageError
from capcli.metrics.bleu import bleu_statistics
from capcli.metrics.bootstrap import full, interval, p_value, resample
from capcli.metrics.cider import cider_statistics
from capcli.metrics.diversity import Diversity, identity_statistics, length_statistics
from capcli.metrics.java import Unavailable
from capcli.metrics.meteor import Meteor
from capcli.metrics.ptb import ptb_tokenize, ptb_tokenize_lines
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
_SINGLE_IMAGE = "0 by definition for a single image: no n-gram tells it from other images"

_References = Sequence[Sequence[Sequence[str]]]
_Hypotheses = Sequence[Sequence[str]]
_Measure = Callable[[_References, _Hypotheses], Statistics]


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
    """All metrics of one set of hypotheses.

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
    per_image: dict[str, np.ndarray]
    images: int
    samples: int
    seed: int
    left_out: int = 0


@dataclass(frozen=True)
class Difference:
    """A metric of b minus that of a.

    Attributes:
        value: the difference.
        low: lower end of the 95 % interval.
        high: upper end.
        p: two-sided p-value of there being no difference, above 0 and at most 1.
    """

    value: float
    low: float
    high: float
    p: float


def score(
    references: Sequence[Sequence[str]],
    hypotheses: Sequence[str],
    *,
    java: bool = True,
    spice: bool = False,
    training: Collection[str] | None = None,
    samples: int = 1000,
    seed: int = 0,
) -> Scores:
    """Scores captions with the COCO toolkit's tokens and metrics, and with what papers leave out.

    Intervals are percentiles of the bootstrap over images. The document frequencies of CIDEr and CIDEr-D are those
    of all references in every resample. Intervals of distinct-1, distinct-2 and vocabulary are shifted, see
    `capcli.metrics.bootstrap.resample`.

    Args:
        references: for each image what people wrote about it, at least one each.
        hypotheses: a caption for each image, in the same order; an empty one is scored as no words.
        java: whether to compute METEOR, where there is a Java to do so.
        spice: whether to compute SPICE, where there is a Java to do so, and the parser.
        training: captions of the training data, to find out how many hypotheses are copies: equal in their tokens.
        samples: resamples for the intervals; 0 for none.
        seed: of the resamples.

    Raises:
        ValueError: no images, an image without references, or not as many hypotheses as images.
        CapcliError: a Java program fails.
    """
    truth, said = _tokenize_references(references), _tokenize(hypotheses)
    with _measures(java) as (measures, why):
        parts = [measure(truth, said) for measure in measures]
    if training is None:
        why["identical"] = "needs captions of the training data"
    else:
        parts.append(identity_statistics(said, _tokenize(training)))
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
) -> dict[str, Difference]:
    """How much better b is than a, by the paired bootstrap over images (Koehn 2004).

    Both are scored on the same resamples, so that images that are hard for both do not blur the difference. For the
    formula of p see `capcli.metrics.bootstrap.p_value`.

    Args:
        references: for each image what people wrote about it, at least one each.
        a: a caption for each image, in the same order.
        b: likewise.
        java: whether to compute METEOR, where there is a Java to do so.
        samples: resamples, at least 1.
        seed: of the resamples.

    Returns:
        The differences of all metrics that have values, in the order of METRICS.

    Raises:
        ValueError: no images, no resamples, an image without references, or not as many captions as images.
        CapcliError: METEOR's program fails.
    """
    if samples < 1:
        raise ValueError("a comparison needs at least one resample")
    truth, said = _tokenize_references(references), [_tokenize(a), _tokenize(b)]
    with _measures(java) as (measures, _):
        systems = [[measure(truth, hypotheses) for measure in measures] for hypotheses in said]
    value_a, value_b = (_values(parts, len(truth)) for parts in systems)
    # The same seed draws the same images, which pairs the resamples.
    drawn_a, drawn_b = (resample(parts, len(truth), samples, seed) for parts in systems)
    differences = {}
    for name in (name for name in METRICS if name in value_a):
        value, drawn = value_b[name] - value_a[name], drawn_b[name] - drawn_a[name]
        differences[name] = Difference(value, *interval(drawn), p_value(drawn, value))
    return differences


def human(references: Sequence[Sequence[str]], *, java: bool = True, samples: int = 1000, seed: int = 0) -> Scores:
    """What a person scores: each reference in turn against the others of its image, averaged over the turns.

    In turn t the hypothesis of an image with k references is its reference number t modulo k, and its references are
    the other k - 1; there are as many turns as the largest k. With five references each, those are five turns, and
    every reference is the hypothesis once. A person is measured against one reference less than a model is, which
    lowers most metrics a little. Document frequencies are those of a turn's references. Images with a single
    reference are left out, and `Scores.left_out` says how many.

    Args:
        references: for each image what people wrote about it.
        java: whether to compute METEOR, where there is a Java to do so.
        samples: resamples for the intervals; 0 for none.
        seed: of the resamples.

    Returns:
        Scores of which also the images' own are averages over the turns.

    Raises:
        UsageError: no image has more than one reference.
        CapcliError: METEOR's program fails.
    """
    images = [sentences for sentences in _tokenize_references(references) if len(sentences) > 1]
    if not images:
        raise UsageError("no image has two references, and a person is scored against what others said of an image")
    with _measures(java) as (measures, why):
        turns = [[measure(*_leave_out(images, turn)) for measure in measures] for turn in range(max(map(len, images)))]
    why["SPICE"] = why["identical"] = _NOT_ASKED_FOR
    parts = [Average(corpora) for corpora in zip(*turns, strict=True)]
    return _summary(parts, why, len(images), samples, seed, left_out=len(references) - len(images))


def _leave_out(images: _References, turn: int) -> tuple[_References, _Hypotheses]:
    """References without the one whose turn it is, and that one as the hypothesis."""
    places = [turn % len(sentences) for sentences in images]
    rest = [[*sentences[:place], *sentences[place + 1 :]] for sentences, place in zip(images, places, strict=True)]
    return rest, [sentences[place] for sentences, place in zip(images, places, strict=True)]


def _tokenize(captions: Collection[str]) -> list[list[str]]:
    # Together, as the COCO toolkit does it: the tokens of a caption can depend on how the next one begins. Where even
    # a tag spans captions, the toolkit would take each that follows for that of another image.
    tokens = ptb_tokenize_lines(captions)
    return tokens if len(tokens) == len(captions) else [ptb_tokenize(caption) for caption in captions]


def _tokenize_references(references: Sequence[Sequence[str]]) -> list[list[list[str]]]:
    tokens = iter(_tokenize([caption for captions in references for caption in captions]))
    return [list(islice(tokens, len(captions))) for captions in references]


def _by_words(measure: _Measure) -> _Measure:
    """The toolkit's BLEU and CIDEr split tokens like "1 1/2" at the no-break space that is in them."""

    def split(sentences: Iterable[Sequence[str]]) -> list[list[str]]:
        return [" ".join(tokens).split() for tokens in sentences]

    return lambda references, hypotheses: measure([split(sentences) for sentences in references], split(hypotheses))


@contextlib.contextmanager
def _measures(java: bool) -> Iterator[tuple[list[_Measure], dict[str, str]]]:
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
                measures.append(programs.enter_context(Meteor()).statistics)
            except Unavailable as reason:
                why["METEOR"] = str(reason)
        yield measures, why


def _values(parts: Iterable[Statistics], images: int) -> dict[str, float]:
    return {name: float(value) for part in parts for name, value in zip(part.names, full(part, images), strict=True)}


def _summary(
    parts: Sequence[Statistics], why: Mapping[str, str], images: int, samples: int, seed: int, left_out: int = 0
) -> Scores:
    values = _values(parts, images)
    # The only resample of a single image is itself, and that is no certainty.
    drawn = resample(parts, images, samples, seed) if samples and images > 1 else {}
    metrics = {}
    for name in METRICS:
        low, high = interval(drawn[name]) if name in drawn else (None, None)
        single = images == 1 and name in ("CIDEr-D", "CIDEr")
        metrics[name] = Score(values.get(name), low, high, _SINGLE_IMAGE if single else why.get(name))
    own = {name: value for part in parts for name, value in part.per_image().items()}
    per_image = {name: own[name] for name in _PER_IMAGE if name in own}
    return Scores(metrics, per_image, images, samples, seed, left_out)
