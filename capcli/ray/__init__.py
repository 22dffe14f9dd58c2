"""Captions on a cluster: `CaptionBatch` for Ray Data, and the job of `capcli caption --on ray` around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from capcli.ray.caption_batch import CaptionBatch

__all__ = ["CaptionBatch"]


def __getattr__(name: str) -> Any:
    # So that what looks into this room for one thing does not load all of it.
    if name == "CaptionBatch":
        from capcli.ray.caption_batch import CaptionBatch

        return CaptionBatch
    raise AttributeError(name)
