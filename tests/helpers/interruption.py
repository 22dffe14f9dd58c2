"""Ctrl-C at a moment of a training run that a test chooses."""

from __future__ import annotations

from capcli.training.objectives.contract import Batch
from capcli.training.observer import Observer
from capcli.training.stage import Stage


class Interrupted(KeyboardInterrupt):
    """Ctrl-C at a moment that a test chose."""


class Interruption(Observer):
    """Ends a run before it does something for the so-many-th time.

    Args:
        moment: step, judging or saving.
        count: 1 for the first time.
    """

    def __init__(self, moment: str, count: int) -> None:
        self._moment, self._left = moment, count

    def _pass(self, moment: str) -> None:
        self._left -= moment == self._moment
        if not self._left:
            raise Interrupted

    def before_step(self, stage: Stage, batch: Batch) -> None:
        """Counts steps."""
        self._pass("step")

    def before_judging(self, stage: Stage) -> None:
        """Counts looks at dev."""
        self._pass("judging")

    def before_saving(self, stage: Stage) -> None:
        """Counts states."""
        self._pass("saving")


class InterruptionAt(Observer):
    """Ends a run before a step of an epoch, both numbered from 0."""

    def __init__(self, epoch: int, step: int) -> None:
        self._place = (epoch, step)

    def before_step(self, stage: Stage, batch: Batch) -> None:
        """Looks where the run stands."""
        if (stage.state.position.epoch, stage.state.position.step) == self._place:
            raise Interrupted
