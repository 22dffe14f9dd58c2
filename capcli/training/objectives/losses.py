"""Losses over log-probabilities."""

from __future__ import annotations

from torch import Tensor

from capcli.words.vocabulary import PAD


def cross_entropy(log_probabilities: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """Mean cross-entropy per word with label smoothing (Szegedy et al. 2016, section 7), in nats.

    Args:
        log_probabilities: N x T x V.
        targets: N x T word indices; `<pad>` counts nothing.
        smoothing: share of the target spread evenly over the V words.
    """
    real = targets != PAD
    chosen = -log_probabilities.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    loss = (1 - smoothing) * chosen
    if smoothing:
        loss = loss - smoothing * log_probabilities.mean(-1)
    return (loss * real).sum() / real.sum()


def doubly_stochastic(attention: Tensor, targets: Tensor) -> Tensor:
    """Penalty (1 - sum_t alpha_ti)^2, summed over regions, mean over captions (Xu et al. 2015, eq. 14).

    Args:
        attention: N x T x R weights.
        targets: N x T word indices; attention at `<pad>` counts nothing.
    """
    seen = (attention * (targets != PAD).unsqueeze(-1)).sum(1)
    return (1 - seen).square().sum(-1).mean()


def policy_gradient(word_scores: Tensor, words: Tensor, advantage: Tensor) -> Tensor:
    """REINFORCE loss -advantage * log p, mean over words (Rennie et al. 2017, eq. 7).

    Args:
        word_scores: N x T log-probabilities of the sampled words.
        words: N x T sampled words with their ends; `<pad>` counts nothing.
        advantage: N rewards less their baselines.
    """
    real = words != PAD
    return -(advantage.unsqueeze(1) * word_scores * real).sum() / real.sum()
