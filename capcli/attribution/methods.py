"""Every method of making heatmaps, and the default. Nothing here imports numpy or torch."""

from __future__ import annotations

from collections.abc import Collection

from capcli.errors import UsageError
from capcli.options import check_choice

METHODS = {
    "gradient": "attention weights times the gradient of the word's log-probability by them",
    "attention": "the decoder's attention weights, averaged over layers and heads",
    "occlusion": "how much the word's log-probability falls where the picture is covered; slow",
}
"""Every method, the default first: the most faithful of the fast ones, see `capcli faithfulness`."""

DEFAULT_METHOD = next(iter(METHODS))


def check_method(method: str, available: Collection[str], model: str) -> None:
    """Raises UsageError for an unknown method, or one that is not among those that there are of a model."""
    check_choice("method", str(method), METHODS)
    if method not in available:
        raise UsageError(
            f"the model {model} has no attention to show; take one that has, such as base, or the method "
            f"{' or '.join(available)}"
        )
