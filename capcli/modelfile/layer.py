"""A linear layer over features of pictures, computed by the thread that asks for it."""

from __future__ import annotations

import numpy as np

from capcli.arrays import Float32Array

_PICTURES, _ROWS = 16, 8
"""What is multiplied at once: OpenBLAS computes a product of so little in the calling thread.

After a larger one its other threads wait for the next one busily, some 60 ms of a core, which the engine then lacks.
"""


def apply_layer(features: Float32Array, weight: Float32Array, bias: Float32Array) -> Float32Array:
    """B x W scores from B x D features, weight W x D and bias W."""
    scores = np.empty((len(features), len(weight)), np.float32)
    whole = len(weight) // _ROWS * _ROWS
    blocks = weight[:whole].reshape(-1, _ROWS, weight.shape[1]).transpose(0, 2, 1)
    for start in range(0, len(features), _PICTURES):
        part = slice(start, start + _PICTURES)
        found = np.matmul(features[part], blocks)
        scores[part, :whole] = found.transpose(1, 0, 2).reshape(len(features[part]), -1)
        scores[part, whole:] = features[part] @ weight[whole:].T
    scores += bias
    return scores
