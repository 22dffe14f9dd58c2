"""Captioned pictures, and sentences without any, on disk, in the formats people have them, as one type."""

from __future__ import annotations

from capcli.datasets.dataset import Dataset, Item
from capcli.datasets.detect import read_dataset

__all__ = ["Dataset", "Item", "read_dataset"]
