"""What a model says of a picture: a caption and its words. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from capcli.arrays import Float32Array
from capcli.attribution.smooth_map import heatmap
from capcli.errors import UsageError
from capcli.keywords.keyword import Keyword


@dataclass(frozen=True, repr=False)
class Word:
    """One word of a caption. Two are equal where all but their weights is.

    Attributes:
        text: the word, in lower case; "'s" and the like are words of their own.
        log_probability: natural logarithm of its probability given the picture and the words before it; minus
            infinity for a word that the model does not know.
        attention: rows x columns weights over `box` that sum to 1: those of the decoder, averaged over layers and
            heads, or from `Captioner.attend` by the method that was asked for; None for a model without attention.
        heads: layers x heads x rows x columns, the decoder's weights apart; from `Captioner.attend` alone.
        known: whether the word is one of the model's.
        box: left, top, right and bottom of the grid that the weights are for, as shares of the upright picture's
            width and height; it may begin or end outside the picture.
        sentinel: how much of what the decoder looked at for the word was its own memory and not the picture, 0 to 1
            (the visual sentinel's share of adaptive attention); None for a model without a sentinel.
    """

    text: str
    log_probability: float
    attention: Float32Array | None = field(compare=False)
    heads: Float32Array | None = field(default=None, compare=False)
    known: bool = True
    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    sentinel: float | None = None

    def __repr__(self) -> str:
        # Without the arrays, which would fill the screen.
        return f"Word({self.text!r}, log_probability={self.log_probability:.3f})"

    def heatmap(self, size: tuple[int, int]) -> Float32Array:
        """Where the model looked, as a smooth map for drawing.

        Args:
            size: width and height of the upright picture in pixels, as `PIL.Image.Image.size` has them.

        Returns:
            float32 array of shape (height, width), from 0 to 1, which the strongest place has.

        Raises:
            UsageError: for a model without attention.
        """
        if self.attention is None:
            raise UsageError(f"there is no attention for the word {self.text!r}; models that have it, such as base, do")
        return heatmap(self.attention, size, self.box)


@dataclass(frozen=True, repr=False)
class Caption:
    """A sentence about a picture.

    Attributes:
        text: the sentence.
        words: its words with their log-probabilities and attention.
        confidence: how likely the caption is good, 0 to 1, by the model's `Calibration`; of a model without one, the
            geometric mean of the probabilities of the words after the prefix and of the end.
        alternatives: the other captions of the picture where `num_captions` asks for several, best first; they
            have none themselves.
        uncertain: whether the confidence is below `min_confidence`.
        keywords: what the picture shows, the likeliest first, possibly none; None where they were not asked for, and
            of alternatives.
    """

    text: str
    words: tuple[Word, ...]
    confidence: float
    alternatives: tuple[Caption, ...] = ()
    uncertain: bool = False
    keywords: tuple[Keyword, ...] | None = None

    def __repr__(self) -> str:
        marked = ", uncertain=True" if self.uncertain else ""
        return f"Caption({self.text!r}, confidence={self.confidence:.3f}{marked})"

    def __str__(self) -> str:
        return self.text
