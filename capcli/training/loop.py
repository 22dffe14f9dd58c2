"""The training loop: the same for every decoder and objective."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import torch

from capcli.modelfile.checkpoint import Checkpoint
from capcli.modelfile.pruning import hold
from capcli.training.corpus import Corpus
from capcli.training.log import TrainingLog, say
from capcli.training.observer import Observer
from capcli.training.processes import Processes
from capcli.training.recipe import Recipe
from capcli.training.run_folder import LOG_FILE
from capcli.training.run_state import RunState
from capcli.training.setup import Setup
from capcli.training.stage import Stage

LOG_STEPS = 20


class Trainer:
    """Runs a recipe in a folder: `state.safetensors` to resume from, `best.safetensors`, `log.csv`, `cache/`.

    A run that was stopped at any moment goes on where its last state was written and takes the same steps an
    undisturbed run takes, since every random choice is seeded by the recipe's seed and the step's number. A finished
    run goes on if its recipe has grown further stages.

    Args:
        recipe: what to do, read for `start`.
        corpus: what to train on.
        folder: the run's folder; made if missing.
        device: where to compute.
        encoder_weights: takes the place of the recipe's `[encoder] weights`; beside `start`, the weights of the encoder
            that a stage's `anchor` compares with.
        start: the model to go on from that the recipe was read for, in place of a new one of its `[encoder]` and
            `[decoder]`. A pruned one's zeros stay; the recipe's `[matcher]` is added to it if it has none, and its own
            is left out where the recipe has none.
        cache: folder of cached regions, by default `cache/` in the run's folder.
        processes: those that train together, which share `folder` and `cache`. Each takes its share of every batch, so
            that a run takes the same steps and writes the same state whatever their number, which may change when it
            goes on; chance inside a step, such as dropout, is another in each of them.
        observer: hears of every step, look at dev and saved state.

    Attributes:
        setup: what the run is given.
        state: where the run stands.
        model: what is trained.

    Raises:
        UsageError: if the folder holds a run of another recipe, of other data or from other weights, or the model lacks
            what a stage trains.
    """

    def __init__(
        self,
        recipe: Recipe,
        corpus: Corpus,
        folder: Path,
        device: torch.device,
        *,
        encoder_weights: str | None = None,
        start: Checkpoint | None = None,
        cache: Path | None = None,
        processes: Processes = Processes(),
        observer: Observer = Observer(),
    ) -> None:
        self.setup = Setup.build(
            recipe, corpus, folder, device,
            encoder_weights=encoder_weights, start=start, cache=cache, processes=processes,
        )  # fmt: skip
        self.state = RunState(self.setup)
        self.model = self.setup.start.model
        self.model.to(device)
        hold(self.model, self.setup.start.zeros)
        self._processes, self._observer = processes, observer

    def run(self) -> Checkpoint:
        """Trains through all stages and returns the weights that the last one keeps.

        Raises:
            CapcliError: if loss or gradient stop being finite; the last good state stays on disk.
            KeyboardInterrupt: on Ctrl-C; what was not saved, every `SAVE_SECONDS` and after an epoch, is done again.
        """
        state = self.state
        if state.position.done:
            if self._processes.first:
                # It would not know pictures that were changed under their names.
                say(f"{self.setup.folder} holds this run, finished, and its model is taken; --run DIR trains anew")
            return state.load_best()
        with TrainingLog(self.setup.folder / LOG_FILE, state.log_from, quiet=not self._processes.first) as log:
            while not state.position.done:
                self._train_stage(Stage(self.setup, state, log), log)
        return state.load_best()

    def _train_stage(self, stage: Stage, log: TrainingLog) -> None:
        at, recipe, objective = self.state.position, stage.recipe, stage.objective
        title = f"stage {at.stage + 1}/{len(self.setup.recipe.stage)} {recipe.objective}"
        if self.setup.start.given and (at.stage, at.epoch, at.step) == (0, 0, 0):
            if self.setup.start.leaves_matcher:
                log.say("the matcher, which learnt with the encoder as it was, is left out (train matching makes one)")
            # A model that only gets worse is handed back as it came.
            log.say(f"before training: dev {objective.metric} {_listed(self._judge(stage, log))}")
        while at.epoch < recipe.epochs and at.waited < recipe.patience:
            log.begin(f"{title} epoch {at.epoch + 1}/{recipe.epochs}", stage.feed.count, at.step * recipe.batch_size)
            summary = self._train_epoch(stage, log)
            if (at.epoch + 1) % recipe.judge_every == 0 or at.epoch + 1 == recipe.epochs:
                summary += f", dev {objective.metric} {_listed(self._judge(stage, log))}"
            log.say(f"{title} epoch {at.epoch + 1}: {summary}")
            at.epoch, at.step = at.epoch + 1, 0
            self._save(stage)
        self.model.load_state_dict(self.state.load_best().model.state_dict())
        log.say(f"{title}: {recipe.keep} dev {objective.metric} {objective.merit(at.best):.4f}")
        self.state.end_stage()
        self._save(stage, ended=True)

    def _train_epoch(self, stage: Stage, log: TrainingLog) -> str:
        """Takes the steps that are left of the epoch and says what they gave on average."""
        at = self.state.position
        self.model.train()
        totals: Counter[str] = Counter()
        for pictures, batch in stage.batches():
            self._observer.before_step(stage, batch)
            values, rate = stage.step(batch)
            totals.update(values | {"": 1})
            speed = log.advance(pictures, f"loss {totals['loss'] / totals['']:.3f}")
            if at.step % LOG_STEPS == 0 or at.step == stage.steps:
                figures = values | {"learning_rate": rate, "images_per_second": speed}
                log.row(stage=at.stage, epoch=at.epoch, step=at.step, **figures)
            if self.state.is_due:
                self._save(stage)
        return " ".join(f"{name} {total / totals['']:.4f}" for name, total in totals.items() if name)

    def _judge(self, stage: Stage, log: TrainingLog) -> dict[str, float]:
        """Dev scores by data set, which decide whether the weights are kept."""
        self._observer.before_judging(stage)
        at = self.state.position
        scores = self._processes.gather(stage.judge(log) if self._processes.first else {})[0]
        at.best, at.waited = (stage.merit(scores), 0) if stage.keeps(scores) else (at.best, at.waited + 1)
        return scores

    def _save(self, stage: Stage, *, ended: bool = False) -> None:
        self._observer.before_saving(stage)
        stage.save(ended=ended)
        self._observer.after_saving(stage)


def _listed(scores: dict[str, float]) -> str:
    return " ".join(f"{name} {score:.4f}" for name, score in scores.items())
