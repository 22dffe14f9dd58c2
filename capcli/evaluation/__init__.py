"""How good captions are, with how much certainty, and what says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from capcli.evaluation.scores import Difference, Differences, Human, Score, Scores, compare, human, score

__all__ = ["Difference", "Differences", "Human", "Score", "Scores", "compare", "human", "score"]

if not TYPE_CHECKING:  # a type checker would take it that every name is there

    def __getattr__(name: str) -> object:
        # Scores bring numpy, and `capcli --help` needs nothing of this room but its options.
        if name in __all__:
            from capcli.evaluation import scores

            return getattr(scores, name)
        raise AttributeError(f"module 'capcli.evaluation' has no attribute {name!r}")
