"""Attention layers that return their weights."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class RegionAttention(nn.Module, ABC):
    """Attention of a single query to regions, whose weights a caption's words are shown by.

    Attributes:
        heads: how many there are.
    """

    heads = 1

    @abstractmethod
    def project(self, regions: Tensor) -> tuple[Tensor, Tensor]:
        """What of N x R x D regions is compared with the query, and what is looked at: both are computed once."""

    @abstractmethod
    def forward(
        self, query: Tensor, keys: Tensor, values: Tensor, gates: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Attends with N x Q queries.

        Args:
            query: what asks.
            keys: as `project` gives them.
            values: likewise.
            gates: N x heads x R factors of the weights, 1 where None.

        Returns:
            The context N x D and the weights N x heads x R before the gates, non-negative, each head's summing to 1.
        """


class AdditiveAttention(RegionAttention):
    """Soft additive attention (Bahdanau et al. 2015, section 3.1; Xu et al. 2015, section 3.1.2).

    e_i = v . tanh(W_a a_i + W_h h), alpha = softmax(e), z = sum_i alpha_i a_i.
    """

    def __init__(self, region_width: int, query_width: int, width: int) -> None:
        super().__init__()
        self.keys = nn.Linear(region_width, width)
        self.query = nn.Linear(query_width, width)
        self.energy = nn.Linear(width, 1, bias=False)

    def project(self, regions: Tensor) -> tuple[Tensor, Tensor]:
        return self.keys(regions), regions

    def forward(
        self, query: Tensor, keys: Tensor, values: Tensor, gates: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        energy = self.energy(torch.tanh(keys + self.query(query).unsqueeze(1))).squeeze(-1)
        return _context(energy, values, gates)


class DotAttention(RegionAttention):
    """Scaled dot-product attention (Vaswani et al. 2017, section 3.2.1, eq. 1) in the place of the additive one.

    e_i = (W_a a_i) . (W_h h) / sqrt(width), alpha = softmax(e), z = sum_i alpha_i a_i.
    """

    def __init__(self, region_width: int, query_width: int, width: int) -> None:
        super().__init__()
        self.keys = nn.Linear(region_width, width)
        self.query = nn.Linear(query_width, width)

    def project(self, regions: Tensor) -> tuple[Tensor, Tensor]:
        return self.keys(regions), regions

    def forward(
        self, query: Tensor, keys: Tensor, values: Tensor, gates: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        energy = torch.bmm(keys, self.query(query).unsqueeze(-1)).squeeze(-1) / math.sqrt(keys.shape[-1])
        return _context(energy, values, gates)


def _context(energy: Tensor, values: Tensor, gates: Tensor | None) -> tuple[Tensor, Tensor]:
    """The context and the weights of one head from its energies N x R."""
    weights = energy.float().softmax(-1).unsqueeze(1)
    used = weights if gates is None else weights * gates
    return torch.bmm(used.to(values.dtype), values).squeeze(1), weights


class HeadsAttention(RegionAttention):
    """Multi-head attention of a query to regions; the context is as wide as the regions.

    head_j = sum_i softmax_i((W_a^j a_i) . (W_h^j h) / sqrt(width / heads)) W_v^j a_i, z = W_o [head_1, ..., head_n].
    """

    def __init__(self, region_width: int, query_width: int, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.each = MultiHeadAttention(
            width, heads, 0.0, source_width=region_width, target_width=query_width, output_width=region_width
        )

    def project(self, regions: Tensor) -> tuple[Tensor, Tensor]:
        return self.each.project(regions)

    def forward(
        self, query: Tensor, keys: Tensor, values: Tensor, gates: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        of_word = None if gates is None else gates.unsqueeze(2)
        context, weights = self.each(query.unsqueeze(1), keys, values, with_weights=True, gates=of_word)
        return context.squeeze(1), weights.squeeze(2)


class MultiHeadAttention(nn.Module):
    """Scaled dot-product attention with several heads (Vaswani et al. 2017, section 3.2.2).

    Args:
        width: of all heads together.
        heads: how many there are; `width` is a multiple of it.
        dropout: share of the weights dropped in training.
        source_width: of what is attended to, where it is another.
        target_width: of what attends, where it is another.
        output_width: of what comes out, where it is another.

    Raises:
        ValueError: if the heads do not divide the width.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        dropout: float,
        *,
        source_width: int | None = None,
        target_width: int | None = None,
        output_width: int | None = None,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} is not a multiple of heads {heads}")
        self.heads = heads
        self.dropout = dropout
        self.query = nn.Linear(target_width or width, width)
        self.key_value = nn.Linear(source_width or width, 2 * width)
        self.output = nn.Linear(width, output_width or width)

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
        bias: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Attends from N x T x W over projected keys and values.

        Where the keys belong to B pictures and N = B * K, rows b*K to b*K+K-1 attend to picture b.

        Args:
            target: what attends.
            key: as `project` gives them.
            value: likewise.
            causal: let no place attend to a later one; not together with weights.
            with_weights: return the weights too.
            gates: N x heads x T x S factors of the weights, for use with `with_weights`; 1 where None.
            bias: heads x T x S to add to the scores before the softmax; neither with `causal` nor with weights.

        Returns:
            N x T x W, and with `with_weights` the weights N x heads x T x S before the gates, else None.
        """
        rows, steps, _ = target.shape
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
            mixed = F.scaled_dot_product_attention(query, key, value, bias, dropout, causal)
        if groups > 1:
            mixed = mixed.view(key.shape[0], self.heads, groups, steps, -1).transpose(1, 2).flatten(0, 1)
            if weights is not None:
                weights = weights.view(key.shape[0], self.heads, groups, steps, -1).transpose(1, 2).flatten(0, 1)
        return self.output(mixed.transpose(1, 2).reshape(rows, steps, -1)), weights

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
        context: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return context

    def _split(self, x: Tensor) -> Tensor:
        return x.view(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)
