"""Every method of making heatmaps, and the default. Nothing here imports numpy or torch."""

from __future__ import annotations

import difflib

from capcli.errors import UsageError

METHODS = {
    "gradient": "attention weights times the gradient of the word's log-probability by them",
    "attention": "the decoder's attention weights, averaged over layers and heads",
    "occlusion": "how much the word's log-probability falls where the picture is covered; slow",
}
"""Every method, the default first: the most faithful of the fast ones, see `capcli attend --check`."""

DEFAULT_METHOD = next(iter(METHODS))


def check_method(method: str, *, attends: bool, model: str) -> None:
    """Raises UsageError for an unknown method, or one that asks a decoder without attention for its weights."""
    if method not in METHODS:
        near = difflib.get_close_matches(str(method), METHODS, 1) or METHODS
        raise UsageError(f"no method is called {method!r}; near it: {', '.join(near)}")
    if method != "occlusion" and not attends:
        raise UsageError(
            f"the model {model} has no attention to show; take one that has, such as base, or the method occlusion"
        )
