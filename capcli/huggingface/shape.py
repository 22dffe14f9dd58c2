"""Which pictures a model takes, and on which grid it looks at them."""

from __future__ import annotations

import math
from typing import Any

from capcli.huggingface.loading import Loaded


def find_size(images: Any, longest: int) -> tuple[int, bool]:
    """The side that pictures are made before a checkpoint's own preparation, and whether they keep their proportions.

    A checkpoint that squashes pictures to a square gets that very square, so that nothing is left for it to resize.

    Args:
        images: prepares the checkpoint's pictures.
        longest: the longer side of pictures that keep their proportions.
    """
    size = dict(images.size or {})
    height, width = size.get("height"), size.get("width")
    crops = bool(getattr(images, "do_center_crop", False))
    tiles = hasattr(images, "tile_size") or hasattr(images, "max_image_size")
    if height and height == width and not (crops or tiles):
        return int(height), False
    shortest = size.get("shortest_edge")
    return max(longest, 2 * int(shortest)) if shortest and crops else longest, True


def find_grid(loaded: Loaded, kind: str) -> tuple[int, int]:
    """Rows and columns of the regions that the decoder of a family with cross-attention looks at."""
    if kind == "florence2":
        side = math.isqrt(int(loaded.processor.num_image_tokens))
        return side, side
    config = loaded.model.config.vision_config if kind == "blip" else loaded.model.config.encoder
    side = int(config.image_size) // int(config.patch_size)
    return side, side
