from __future__ import annotations

from pathlib import Path

import pytest

from capcli.datasets import Dataset, Item


def test_split_keeps_order_and_refuses_unknown_names() -> None:
    items = tuple(Item(Path(f"{i}.jpg"), ("a dog",), split) for i, split in enumerate(("train", "dev", "train")))
    dataset = Dataset("tiny", items)
    assert len(dataset) == 3
    assert dataset.split("train") == (items[0], items[2])
    assert dataset.split("rest") == ()
    with pytest.raises(ValueError, match="validation"):
        dataset.split("validation")
