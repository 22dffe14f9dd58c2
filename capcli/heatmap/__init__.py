"""From attention weights to pictures and pages that people look at."""

from __future__ import annotations

# At once, not when asked for: the name stands for the function and not for its module only once that is imported.
from capcli.heatmap.grid import grid

__all__ = ["grid"]
