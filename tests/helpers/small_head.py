"""A head of three keywords whose features are how bright and how dark a picture is."""

from __future__ import annotations

import numpy as np

from capcli.keywords.head import KeywordHead

HEAD = KeywordHead(
    words=("sky", "night", "polar bear"),
    synonyms={"heaven": "sky"},
    hidden=np.eye(2, dtype=np.float32),
    hidden_bias=np.zeros(2, np.float32),
    weight=np.array([[1, 0], [0, 1], [0.5, 0]], np.float32),
    bias=np.zeros(3, np.float32),
    calibration=np.array([[0, 0], [1, 1]], np.float32),
    floor=0.25,
    name="small.keywords",
)
