"""What people said of captions as figures: means, preferences, agreement, and how metrics go along with it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from capcli.evaluation.scores import Score
from capcli.metrics.agreement import Agreement, krippendorff_alpha
from capcli.metrics.bootstrap import full, interval, resample
from capcli.metrics.correlation import Correlation
from capcli.metrics.sign_test import sign_test
from capcli.metrics.statistics import Means, Resampled, Sums
from capcli.ratings.judgement import EVEN, LEVELS, PREFERENCE, SCALES, Judgement

GRADED = tuple(scale for scale in SCALES if scale != PREFERENCE)
"""Scales of which a caption alone has a value."""

_ALONE = "a single picture says nothing about others"
_CONSTANT = "not defined: one of the two is the same for every caption"

Caption = tuple[str, str]
"""A picture and a text."""


@dataclass(frozen=True)
class Sampling:
    """How intervals are taken.

    Attributes:
        samples: resamples of the pictures.
        seed: of the resamples.
    """

    samples: int
    seed: int


@dataclass(frozen=True)
class Mean:
    """How good people find a system's captions: of each picture the mean over its raters, then over the pictures."""

    system: str
    scale: str
    score: Score
    pictures: int
    ratings: int


@dataclass(frozen=True)
class Gap:
    """By how much b is rated higher than a, on the pictures that have ratings of both.

    Attributes:
        score: mean of b less mean of a.
        p: of the exact sign test over those pictures; None where none of them differ.
    """

    a: str
    b: str
    scale: str
    score: Score
    pictures: int
    p: float | None


@dataclass(frozen=True)
class Preference:
    """How often people found a or b better.

    Attributes:
        for_a: answers for a; `even` and `for_b` likewise.
        pictures_a: pictures whose raters were for a, by majority; `pictures_even` and `pictures_b` likewise.
        score: share of a, an answer for neither counting half; the mean over the pictures.
        p: of the exact sign test over pictures, as answers about one picture depend on each other; None where none was
            for either.
    """

    a: str
    b: str
    for_a: int
    even: int
    for_b: int
    pictures_a: int
    pictures_even: int
    pictures_b: int
    score: Score
    p: float | None


@dataclass(frozen=True)
class Along:
    """How a metric goes along with people.

    Attributes:
        scores: of a graded scale the correlations by their names; of preferences under "agrees" the share of pairs in
            which the metric is higher for the caption that most raters preferred, equal values counting half.
        count: captions, or pairs of captions.
    """

    metric: str
    scale: str
    scores: dict[str, Score]
    count: int


@dataclass
class Opinions:
    """All judgements, by what they are about.

    Attributes:
        systems: in the order of reports.
        ratings: by scale and caption what each rater said.
        captions: by system and picture the caption.
        choices: by picture and its two captions, in alphabetical order: 1 for the first, -1 for the second, 0 for
            neither.
        same: captions that two systems share, with how many raters came to them.
    """

    systems: tuple[str, ...]
    ratings: dict[str, dict[Caption, list[int]]] = field(default_factory=lambda: {scale: {} for scale in GRADED})
    captions: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    choices: dict[tuple[str, str, str], list[int]] = field(default_factory=dict)
    same: dict[Caption, int] = field(default_factory=dict)

    @classmethod
    def of(cls, judgements: Iterable[Judgement], systems: Sequence[str]) -> Opinions:
        """The opinions in judgements that hold; what is said of other systems is left out."""
        opinions = cls(tuple(systems), captions={system: {} for system in systems})
        for judgement in judgements:
            assert judgement.value is not None
            for caption, names in zip(judgement.captions, judgement.systems, strict=True):
                for name in names:
                    texts = opinions.captions.get(name, {}).setdefault(judgement.image, [])
                    if caption not in texts:
                        texts.append(caption)
            if judgement.scale != PREFERENCE:
                opinions.ratings[judgement.scale].setdefault((judgement.image, judgement.captions[0]), []).append(
                    judgement.value
                )
            elif len(judgement.captions) == 1:
                key = judgement.image, judgement.captions[0]
                opinions.same[key] = opinions.same.get(key, 0) + 1
            else:
                first, second = sorted(judgement.captions)
                sign = 0 if judgement.preferred is None else 1 if judgement.preferred == first else -1
                opinions.choices.setdefault((judgement.image, first, second), []).append(sign)
        return opinions

    @property
    def ambiguous(self) -> list[tuple[str, int]]:
        """Systems that said two things of one picture, with how many pictures those are."""
        counts = (
            (system, sum(len(texts) > 1 for texts in texts_by_image.values()))
            for system, texts_by_image in self.captions.items()
        )
        return [(system, count) for system, count in counts if count]


def take_means(opinions: Opinions, how: Sampling) -> list[Mean]:
    """The mean of each system on each graded scale that has ratings of it."""
    means = []
    for scale in GRADED:
        for system in opinions.systems:
            of_picture = _rated(opinions, scale, system)
            if of_picture:
                values = [float(np.mean(ratings)) for ratings in of_picture.values()]
                score = _score(Means(("mean",), np.array(values)[:, None]), len(values), how)["mean"]
                means.append(Mean(system, scale, score, len(values), sum(map(len, of_picture.values()))))
    return means


def take_gaps(opinions: Opinions, how: Sampling) -> list[Gap]:
    """The differences of every two systems on each graded scale."""
    gaps = []
    for scale in GRADED:
        for a, b in combinations(opinions.systems, 2):
            of_a, of_b = (_rated(opinions, scale, system) for system in (a, b))
            both = [image for image in of_a if image in of_b]
            if both:
                values = np.array([np.mean(of_b[image]) - np.mean(of_a[image]) for image in both])
                score = _score(Means(("gap",), values[:, None]), len(both), how)["gap"]
                signs = np.sign(np.round(values, 12))
                p = sign_test(int((signs > 0).sum()), int((signs < 0).sum()))
                gaps.append(Gap(a, b, scale, score, len(both), p))
    return gaps


def take_preferences(opinions: Opinions, how: Sampling) -> list[Preference]:
    """Which of every two systems people found better."""
    found = []
    for a, b in combinations(opinions.systems, 2):
        of_picture = _compared(opinions, a, b)
        if not of_picture:
            continue
        answers = [sign for signs in of_picture.values() for sign in signs]
        majority = [int(np.sign(sum(signs))) for signs in of_picture.values()]
        shares = np.array([(np.mean(signs) + 1) / 2 for signs in of_picture.values()])
        score = _score(Means(("share",), shares[:, None]), len(shares), how)["share"]
        (for_a, even, for_b), (pictures_a, pictures_even, pictures_b) = (
            [signs.count(sign) for sign in (1, 0, -1)] for signs in (answers, majority)
        )
        p = sign_test(pictures_a, pictures_b)
        found.append(Preference(a, b, for_a, even, for_b, pictures_a, pictures_even, pictures_b, score, p))
    return found


def take_agreement(judgements: Sequence[Judgement]) -> dict[str, Agreement]:
    """Krippendorff's alpha for each scale that has judgements: of preferences nominal, of the others ordinal.

    Captions that several systems share were not asked about, and so nobody agreed on them.
    """
    found = {}
    for scale in SCALES:
        ratings = []
        for judgement in judgements:
            if (
                judgement.scale != scale
                or judgement.value is None
                or (scale == PREFERENCE and len(judgement.captions) < 2)
            ):
                continue
            value = judgement.value
            if scale == PREFERENCE:
                value = (
                    EVEN if judgement.preferred is None else 1 + sorted(judgement.captions).index(judgement.preferred)
                )
            ratings.append((judgement.rater, (judgement.image, *sorted(judgement.captions)), value))
        if ratings and scale == PREFERENCE:
            found[scale] = krippendorff_alpha(ratings, (EVEN, 1, 2), "nominal")
        elif ratings:
            found[scale] = krippendorff_alpha(ratings, LEVELS, "ordinal")
    return found


def take_along(opinions: Opinions, metrics: Mapping[str, Mapping[Caption, float]], how: Sampling) -> list[Along]:
    """How each metric goes along with people.

    Args:
        opinions: of people.
        metrics: by name the values of captions.
        how: intervals are taken; resamples draw pictures, with all their captions.
    """
    found = []
    for scale in GRADED:
        for metric, values in metrics.items():
            captions = [caption for caption in opinions.ratings[scale] if caption in values]
            if captions:
                means = np.array([float(np.mean(opinions.ratings[scale][caption])) for caption in captions])
                images, pictures = np.unique([image for image, _ in captions], return_inverse=True)
                part = Correlation(np.array([values[caption] for caption in captions]), means, pictures)
                found.append(Along(metric, scale, _score(part, len(images), how), len(captions)))
    for metric, values in metrics.items():
        hits: defaultdict[str, list[float]] = defaultdict(list)
        for (image, first, second), signs in opinions.choices.items():
            people = np.sign(sum(signs))
            if people and (image, first) in values and (image, second) in values:
                metric_says = np.sign(round(values[image, first] - values[image, second], 12))
                hits[image].append((1 + float(people * metric_says)) / 2)
        if hits:
            sums = np.array([[sum(image_hits), len(image_hits)] for image_hits in hits.values()], float)
            part_of_pairs = Sums(("agrees",), sums, lambda totals: totals[..., :1] / totals[..., 1:])
            found.append(Along(metric, PREFERENCE, _score(part_of_pairs, len(sums), how), int(sums[:, 1].sum())))
    return found


def _rated(opinions: Opinions, scale: str, system: str) -> dict[str, list[int]]:
    """By picture what raters said of the system's caption."""
    ratings = ((image, opinions.ratings[scale].get((image, text))) for image, text in _texts(opinions, system))
    found: dict[str, list[int]] = {}
    for image, values in ratings:
        if values:
            found.setdefault(image, []).extend(values)
    return found


def _compared(opinions: Opinions, a: str, b: str) -> dict[str, list[int]]:
    """By picture the answers about two systems: 1 for a, -1 for b."""
    found: dict[str, list[int]] = {}
    for image, text in _texts(opinions, a):
        for other in opinions.captions[b].get(image, ()):
            if text == other:
                signs = [0] * opinions.same.get((image, text), 0)
            else:
                first, second = sorted((text, other))
                signs = [sign if text == first else -sign for sign in opinions.choices.get((image, first, second), ())]
            if signs:
                found.setdefault(image, []).extend(signs)
    return found


def _texts(opinions: Opinions, system: str) -> Iterable[Caption]:
    return ((image, text) for image, texts in opinions.captions[system].items() for text in texts)


def _score(part: Resampled, images: int, how: Sampling) -> dict[str, Score]:
    """Its figures with 95 % intervals; those that do not exist in some resamples by the others."""
    values = dict(zip(part.names, full(part, images).tolist(), strict=True))
    drawn = resample([part], images, how.samples, how.seed) if images > 1 else {}
    scores = {}
    for name, value in values.items():
        if np.isnan(value):
            scores[name] = Score(None, None, None, _CONSTANT)
            continue
        column = drawn[name][~np.isnan(drawn[name])] if name in drawn else np.array([])
        low, high = interval(column) if len(column) else (None, None)
        scores[name] = Score(value, low, high, None if len(column) else _ALONE)
    return scores
