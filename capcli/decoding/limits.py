"""What a caption may say next: the rules that beam search and sampling share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from capcli.arrays import Float32Array
from capcli.decoding.options import DecodingOptions
from capcli.errors import ModelError
from capcli.words.vocabulary import END, PAD, UNSAYABLE

if TYPE_CHECKING:
    from torch import Tensor

Values = TypeVar("Values", Float32Array, "Tensor")


def allowed(log_probabilities: Values, tokens: Any, options: DecodingOptions, prefix: Sequence[int] = ()) -> Values:
    """Log-probabilities of what may come next, unchanged, and minus infinity for the rest.

    The prefix comes first, word by word, whatever it repeats. Then no n-gram of n = `no_repeat_ngram` words comes a
    second time, nor the word just said. The end comes after `min_length` words, at least one, and nothing but the
    end after `max_length`. A caption that may say nothing at all is to be cut.

    Args:
        log_probabilities: ... x V, of the next word; arrays or tensors.
        tokens: ... x L, the words so far, likewise.
        options: `min_length`, `max_length` and `no_repeat_ngram`.
        prefix: indices of the words that every caption begins with.

    Returns:
        ... x V, new.

    Raises:
        ModelError: if the log-probabilities are not numbers, or rule out every first word or the prefix.
    """
    length, n = tokens.shape[-1], options.no_repeat_ngram
    kept = log_probabilities + 0
    if length < len(prefix):
        kept[..., : prefix[length]] = kept[..., prefix[length] + 1 :] = -np.inf
    else:
        kept[..., UNSAYABLE] = -np.inf
        if length < max(1, options.min_length):
            kept[..., END] = -np.inf
        if length == options.max_length:
            kept[..., :END] = kept[..., END + 1 :] = -np.inf
        if n and length:
            _forbid(kept, tokens[..., -1:])
        runs = length - n + 1 if n else 0
        if runs > 0:
            same: Any = 1
            for place in range(n - 1):
                same = same * (tokens[..., place : place + runs] == tokens[..., place + runs, None])
            # Where a run differs, a word that is never said stands in for its last.
            assert PAD == 0
            _forbid(kept, tokens[..., n - 1 :] * same)
    beginning = length < max(1, len(prefix))
    broken = log_probabilities.max() != log_probabilities.max()
    if broken or (beginning and (kept == -np.inf).all(-1).any()):
        raise ModelError("the model's log-probabilities are no numbers; its weights or the regions are broken")
    return kept


def _forbid(kept: Values, words: Any) -> None:
    """Sets `kept`, ... x V, to minus infinity at `words`, ... x M."""
    if isinstance(kept, np.ndarray):
        np.put_along_axis(kept, words, -np.inf, -1)
    else:
        kept.scatter_(-1, words, -np.inf)
