"""What a caption may say next: the rules that beam search and sampling share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from capcli.decoding.options import DecodingOptions
from capcli.errors import ModelError
from capcli.words.vocabulary import END, PAD, UNSAYABLE


def allowed(log_probabilities: Tensor, tokens: Tensor, options: DecodingOptions, prefix: Sequence[int] = ()) -> Tensor:
    """Log-probabilities of what may come next, unchanged, and minus infinity for the rest.

    The prefix comes first, word by word, whatever it repeats. Then no n-gram of n = `no_repeat_ngram` words comes a
    second time, nor the word just said. The end comes after `min_length` words, at least one, and nothing but the
    end after `max_length`. A caption that may say nothing at all is to be cut.

    Args:
        log_probabilities: ... x V, of the next word.
        tokens: ... x L, the words so far.
        options: `min_length`, `max_length` and `no_repeat_ngram`.
        prefix: indices of the words that every caption begins with.

    Returns:
        ... x V, a new tensor.

    Raises:
        ModelError: if the log-probabilities are not numbers, or rule out every first word or the prefix.
    """
    length, n = tokens.shape[-1], options.no_repeat_ngram
    if length < len(prefix):
        kept = torch.full_like(log_probabilities, -torch.inf)
        kept[..., prefix[length]] = log_probabilities[..., prefix[length]]
    else:
        kept = log_probabilities.clone()
        kept[..., UNSAYABLE] = -torch.inf
        if length < max(1, options.min_length):
            kept[..., END] = -torch.inf
        if length == options.max_length:
            kept[..., :END] = kept[..., END + 1 :] = -torch.inf
        if n and length:
            kept.scatter_(-1, tokens[..., -1:], -torch.inf)
        if n and length >= n:
            runs = tokens.unfold(-1, n, 1)
            same = (runs[..., :-1] == tokens[..., None, length - n + 1 :]).all(-1)
            # Where a run differs, a word that is never said stands in for its last.
            kept.scatter_(-1, runs[..., -1].where(same, PAD), -torch.inf)
    beginning = length < max(1, len(prefix))
    if log_probabilities.isnan().any() or (beginning and (kept == -torch.inf).all(-1).any()):
        raise ModelError("the model's log-probabilities are no numbers; its weights or the regions are broken")
    return kept
