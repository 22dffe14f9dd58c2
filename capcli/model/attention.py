"""Attention layers that return their weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class AdditiveAttention(nn.Module):
    """Soft additive attention (Bahdanau et al. 2015, section 3.1; Xu et al. 2015, section 3.1.2).

    e_i = v . tanh(W_a a_i + W_h h), alpha = softmax(e), z = sum_i alpha_i a_i.
    """

    def __init__(self, region_width: int, query_width: int, width: int) -> None:
        super().__init__()
        self.keys = nn.Linear(region_width, width)
        self.query = nn.Linear(query_width, width)
        self.energy = nn.Linear(width, 1, bias=False)

    def forward(
        self, query: Tensor, keys: Tensor, regions: Tensor, gates: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Attends with N x Q queries over N x R x D regions whose `keys` (N x R x W) were projected once.

        Args:
            query: what asks.
            keys: the regions, projected.
            regions: what is looked at.
            gates: N x R factors of the weights, 1 where None.

        Returns:
            The context N x D and the weights N x R before the gates, non-negative, each row summing to 1.
        """
        energy = self.energy(torch.tanh(keys + self.query(query).unsqueeze(1))).squeeze(-1)
        weights = energy.float().softmax(-1)
        used = weights if gates is None else weights * gates
        return torch.bmm(used.to(regions.dtype).unsqueeze(1), regions).squeeze(1), weights


class MultiHeadAttention(nn.Module):
    """Scaled dot-product attention with several heads (Vaswani et al. 2017, section 3.2.2)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} is not a multiple of heads {heads}")
        self.heads = heads
        self.dropout = dropout
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.output = nn.Linear(width, width)

    def project(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of N x S x W, each N x heads x S x W/heads: cached while decoding."""
        key, value = self.key_value(source).chunk(2, -1)
        return self._split(key), self._split(value)

    def forward(
        self,
        target: Tensor,
        key: Tensor,
        value: Tensor,
        *,
        causal: bool = False,
        with_weights: bool = False,
        gates: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Attends from N x T x W over projected keys and values.

        Where the keys belong to B pictures and N = B * K, rows b*K to b*K+K-1 attend to picture b.

        Args:
            target: what attends.
            key: as `project` gives them.
            value: likewise.
            causal: let no place attend to a later one; not together with weights.
            with_weights: return the weights too.
            gates: N x heads x T x S factors of the weights, which asks for them; 1 where None.

        Returns:
            N x T x W, and with `with_weights` the weights N x heads x T x S before the gates, else None.
        """
        rows, steps, width = target.shape
        query = self._split(self.query(target))
        groups = rows // key.shape[0]
        if groups > 1:
            # The K captions of one picture share its keys: as further queries they need no copies of them.
            query = query.view(key.shape[0], groups, self.heads, steps, -1).transpose(1, 2).flatten(2, 3)
        weights = None
        if with_weights:
            scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
            weights = scores.float().softmax(-1)
            used = weights
            if gates is not None:
                of_picture = gates.view(key.shape[0], groups, self.heads, steps, -1).transpose(1, 2)
                used = weights * of_picture.reshape(weights.shape)
            mixed = F.dropout(used.to(value.dtype), self.dropout, self.training) @ value
        else:
            dropout = self.dropout if self.training else 0.0
            mixed = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout, is_causal=causal)
        if groups > 1:
            mixed = mixed.view(key.shape[0], self.heads, groups, steps, -1).transpose(1, 2).flatten(0, 1)
            if weights is not None:
                weights = weights.view(key.shape[0], self.heads, groups, steps, -1).transpose(1, 2).flatten(0, 1)
        return self.output(mixed.transpose(1, 2).reshape(rows, steps, width)), weights

    def causal_apart(self, target: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Causal self-attention, N x T x W over its own keys and values, whose gradients stay at their places.

        To each place the earlier ones are constants; without dropout.
        """
        query = self._split(self.query(target))
        scale = 1 / math.sqrt(query.shape[-1])
        itself = torch.eye(query.shape[2], dtype=torch.bool, device=query.device)
        later = torch.ones_like(itself).triu(1)
        earlier = query @ key.detach().transpose(-2, -1) * scale
        scores = torch.where(itself, (query * key).sum(-1, keepdim=True) * scale, earlier)
        weights = scores.float().masked_fill(later, -torch.inf).softmax(-1).to(value.dtype)
        mixed = weights.masked_fill(itself, 0) @ value.detach() + (weights * itself).sum(-1, keepdim=True) * value
        return self.output(mixed.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.view(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)
