"""Where a run stands on disk."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from capcli.errors import CapcliError, ModelError, UsageError, system_reason
from capcli.modelfile.checkpoint import Checkpoint
from capcli.modelfile.header import read_header
from capcli.training.objectives.contract import Objective
from capcli.training.objectives.registry import objectives
from capcli.training.run_folder import BEST_FILE, STATE_FILE
from capcli.training.run_key import run_key
from capcli.training.setup import Setup
from capcli.training.state import Position, load_state, save_state

SAVE_SECONDS = 300.0


class RunState:
    """Where a run stands: `state.safetensors` to go on from, and `best.safetensors`, the best weights so far.

    Args:
        setup: what the run is given; its model gets the weights of a run that goes on.

    Attributes:
        position: where the run stands.
        restored: tensors by kind, as `load_state` gives them, of a stage that goes on; None where one begins.

    Raises:
        UsageError: if the folder holds a run of another recipe, of other data or from other weights.
        ModelError: if the state cannot be used.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._folder = setup.folder
        self.file, self.best_file = self._folder / STATE_FILE, self._folder / BEST_FILE
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"{self._folder}: no folder for checkpoints can be made there ({system_reason(error)})"
            ) from None
        self.position = Position()
        self.restored: dict[str, dict[str, Tensor]] | None = None
        # Of the best weights so far, by data set and metric.
        self._scores: dict[str, Any] = dict(setup.start.scores)
        if self.file.exists():
            self._load()
        places = setup.processes.gather(json.dumps([self.key(), asdict(self.position)]))
        if len(set(places)) > 1:
            raise UsageError("the processes do not read the same data and the same run folder; they have to share both")
        self._saved_at = time.monotonic()

    def _load(self) -> None:
        self.position, key, self.restored = load_state(self.file)
        if key != self.key():
            raise UsageError(
                f"{self._folder}: holds a run of another recipe or data, or from other weights; choose another --run "
                "folder"
            )
        try:
            self._setup.start.model.load_state_dict(self.restored["weights"])
        except RuntimeError:
            raise ModelError(f"{self.file}: not the state of this model; delete it to start anew") from None
        at, stages = self.position, self._setup.recipe.stage
        judged = at.stage > 0 or at.epoch >= stages[0].judge_every or at.done
        if judged and not self.best_file.exists():
            raise UsageError(
                f"{self._folder}: lacks its {self.best_file.name}; delete {self.file.name} to start anew, or "
                "choose another --run folder"
            )
        if self.best_file.exists():
            self._scores = read_header(self.best_file).described["scores"]
        if at.done and at.stage + 1 < len(stages):
            self.position = self._next_stage()

    def key(self) -> str:
        """Names data and recipe up to the present stage: later stages may be changed or added while it runs."""
        setup, start = self._setup, self._setup.start
        if self.position.stage >= len(setup.recipe.stage):
            return "of a recipe with more stages"
        return run_key(
            setup.recipe, self.position.stage, start.model.config, start.model.vocabulary, start.begun_from,
            setup.corpus, anchored_to=start.anchored_to,
        )  # fmt: skip

    @property
    def log_from(self) -> tuple[int, int, int] | None:
        """Stage, epoch and step from which the log goes on; None for a run that begins."""
        return (self.position.stage, self.position.epoch, self.position.step) if self.restored else None

    @property
    def is_due(self) -> bool:
        """Whether the state was last written long ago."""
        return time.monotonic() - self._saved_at > SAVE_SECONDS

    def save(
        self,
        average: Mapping[str, Tensor] = MappingProxyType({}),
        objective: Mapping[str, Tensor] = MappingProxyType({}),
        optimizer: torch.optim.Optimizer | None = None,
        names: Sequence[str] = (),
    ) -> None:
        """Writes all that the next step depends on, as `save_state` does; between two stages that is less."""
        weights = self._setup.start.model.state_dict()
        save_state(self.file, self.position, self.key(), weights, average, objective, optimizer, names)
        self._saved_at = time.monotonic()

    def keep_best(self, objective: Objective, scores: dict[str, float]) -> None:
        """Writes the model's weights as the best so far, of these dev scores by data set."""
        # What captions scored holds on only if the words are the same.
        kept = {} if "decoder" in objective.parts else self._scores
        figures = {f"dev {name}": {objective.metric: score} for name, score in scores.items()}
        self._scores = kept | {name: kept.get(name, {}) | own for name, own in figures.items()}
        recipe, start = self._setup.recipe, self._setup.start
        best = Checkpoint(
            start.model, recipe.decoding, recipe.to_dict(), self._scores,
            pruned=bool(start.zeros), held_out=start.held_out,
        )  # fmt: skip
        best.save(self.best_file, torch.float32)

    def load_best(self) -> Checkpoint:
        """The best weights so far."""
        return Checkpoint.load(self.best_file)

    def end_stage(self) -> None:
        """Goes on to the next stage, or to the end."""
        at = self.position
        if at.stage + 1 == len(self._setup.recipe.stage):
            self.position = Position(stage=at.stage, best=at.best, done=True)
        else:
            self.position = self._next_stage()
        self.restored = None

    def _next_stage(self) -> Position:
        """Where the stage after the present one begins; only a score of the same metric is one to beat.

        Nor is that of an encoder which has forgotten one for an encoder that shall remember.
        """
        ended = self.position
        stages = self._setup.recipe.stage[ended.stage : ended.stage + 2]
        before, after = (objectives()[stage.objective].metric for stage in stages)
        return Position(ended.stage + 1, best=-math.inf if stages[1].restore or before != after else ended.best)

    def diverged(self, what: str, step: int) -> CapcliError:
        """The error that training stopped at, in a step of the present epoch."""
        good = f" and --from {self.best_file}, its best weights so far" if self.best_file.exists() else ""
        return CapcliError(
            f"the {what} in stage {self.position.stage + 1}, epoch {self.position.epoch + 1}, step {step}; "
            f"lower learning_rate or clip and train in another --run folder{good}"
        )
