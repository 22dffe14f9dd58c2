"""Who watches a run."""

from __future__ import annotations

from capcli.training.objectives.contract import Batch
from capcli.training.stage import Stage


class Observer:
    """Hears what a run is about to do and what it has done. This one does nothing.

    What a method raises ends the run at that moment, as Ctrl-C does.
    """

    def before_step(self, stage: Stage, batch: Batch) -> None:
        """A step on a batch comes next."""

    def before_judging(self, stage: Stage) -> None:
        """A look at dev comes next."""

    def before_saving(self, stage: Stage) -> None:
        """The state is written next."""

    def after_saving(self, stage: Stage) -> None:
        """The state has been written."""
