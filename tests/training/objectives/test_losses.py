from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from capcli.training.objectives.losses import cross_entropy, doubly_stochastic, policy_gradient
from capcli.words.vocabulary import PAD

N, T, V, R = 3, 5, 11, 4


def padded_targets() -> Tensor:
    targets = torch.randint(1, V, (N, T), generator=torch.Generator().manual_seed(1))
    targets[0, 2:] = PAD
    targets[1, 4:] = PAD
    return targets


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
def test_cross_entropy_is_torchs(smoothing: float) -> None:
    logits = torch.randn(N, T, V, requires_grad=True)
    targets = padded_targets()
    loss = cross_entropy(logits.log_softmax(-1), targets, smoothing)
    expected = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=PAD, label_smoothing=smoothing)
    torch.testing.assert_close(loss, expected)
    for found, wanted in zip(torch.autograd.grad(loss, logits), torch.autograd.grad(expected, logits), strict=True):
        torch.testing.assert_close(found, wanted)


def test_attention_that_sees_everything_once_costs_nothing() -> None:
    targets = torch.full((N, R), 5)
    torch.testing.assert_close(doubly_stochastic(torch.eye(R).expand(N, R, R), targets), torch.tensor(0.0))


def test_attention_that_stares_costs_what_it_leaves_out() -> None:
    attention = torch.zeros(1, 3, R)
    attention[..., 0] = 1
    targets = torch.tensor([[5, 6, PAD]])
    # Region 0 is seen twice, the other three never; the padding does not look.
    torch.testing.assert_close(doubly_stochastic(attention, targets), torch.tensor(4.0))


def test_policy_gradient_weighs_log_probabilities_by_advantage() -> None:
    scores = torch.tensor([[-1.0, -2.0, -3.0], [-4.0, -5.0, -6.0]])
    words = torch.tensor([[4, 2, PAD], [5, 6, 2]])
    loss = policy_gradient(scores, words, torch.tensor([2.0, -1.0]))
    torch.testing.assert_close(loss, torch.tensor(-(2 * -3.0 - -15.0) / 5))
