"""One stage of a run."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from statistics import fmean

import torch
from torch import Tensor
from torch.nn import functional as F

from capcli.model.encoder import Encoder
from capcli.model.encoder_blind import BlindEncoder
from capcli.training.feed import Feed
from capcli.training.log import TrainingLog
from capcli.training.objectives.contract import Batch, Objective
from capcli.training.objectives.registry import objectives
from capcli.training.optimizer import Optimizer
from capcli.training.precision import autocast
from capcli.training.recipe import StageRecipe
from capcli.training.remembering import read_anchors, restore_encoder
from capcli.training.run_state import RunState
from capcli.training.seed import seed_of
from capcli.training.setup import Setup
from capcli.words.vocabulary import PAD


class Stage:
    """One stage of a run: what it lowers, how it steps, and what it is fed with.

    Args:
        setup: what the run is given.
        state: where the run stands, in the stage.
        log: hears how far the cache of regions is.

    Attributes:
        setup: as given.
        state: as given.
        recipe: the stage's.
        objective: what it lowers.
        optimizer: how it steps.
        feed: what it learns from.
        steps: in an epoch.
    """

    def __init__(self, setup: Setup, state: RunState, log: TrainingLog) -> None:
        self.setup, self.state = setup, state
        self.recipe: StageRecipe = setup.recipe.stage[state.position.stage]
        if self.recipe.restore and (state.position.epoch, state.position.step) == (0, 0):
            restore_encoder(setup, self.recipe.restore)
        resting = self.recipe.train_from < 0 or not self.recipe.encoder_learning_rate
        setup.start.model.encoder.train_from(None if resting else self.recipe.train_from)
        self.objective = self._build_objective()
        self.optimizer = Optimizer(setup, state, self.recipe, self.objective)
        with setup.processes.first_ahead():  # which computes the regions that the others read
            self.feed = self._build_feed(log)
            self._anchors = read_anchors(setup, state, self.feed) if self.recipe.anchor else None
        self.steps = math.ceil(self.feed.count / self.recipe.batch_size)

    def _build_objective(self) -> Objective:
        setup, state = self.setup, self.state
        torch.manual_seed(seed_of(setup.recipe.seed, state.position.stage, "objective"))
        kind = objectives()[self.recipe.objective]
        objective = kind(self.recipe, setup.recipe, setup.start.model, setup.references).to(setup.device)
        if state.restored and state.restored["objective"]:
            objective.load_state_dict(state.restored["objective"])
        return objective.train()

    def _build_feed(self, log: TrainingLog) -> Feed:
        setup, model = self.setup, self.setup.start.model
        corpus, references, encoder = setup.corpus, setup.references, model.encoder
        if self.recipe.objective == "language" and model.config.encoder.sees:
            corpus = corpus.as_sentences(model.vocabulary)
            references = [[model.vocabulary.encode(words)] for (words,) in corpus.captions]
            # Noise that never changes. Of equal regions layer norm would leave nothing but the dropout's noise.
            shape, source = (math.prod(encoder.grid), encoder.width), torch.Generator().manual_seed(0)
            encoder = BlindEncoder(encoder.config, torch.randn(shape, generator=source))
        return Feed(
            self.recipe, self.state.position.stage, setup.recipe, corpus, references, encoder, setup.cache, log,
            least_captions=self.objective.least_captions, share=setup.processes.share,
        )  # fmt: skip

    @property
    def _taken(self) -> int:
        """Steps of the stage that are behind."""
        return self.state.position.epoch * self.steps + self.state.position.step

    def batches(self) -> Iterator[tuple[int, Batch]]:
        """What is left of the epoch: how many pictures all processes take at once, and of them this one's share."""
        at, share = self.state.position, self.setup.processes.share
        for picked, inputs, targets in self.feed.batches(at.epoch, at.step):
            progress = self._taken / (self.recipe.epochs * self.steps)
            yield len(picked), Batch(inputs, picked[share], targets, progress)

    def step(self, batch: Batch) -> tuple[dict[str, float], float]:
        """Takes the next step, on a batch as `batches` gives it; returns loss and other figures, and the rate.

        Raises:
            CapcliError: if loss or gradient are not finite.
        """
        at, processes = self.state.position, self.setup.processes
        torch.manual_seed(seed_of(self.setup.recipe.seed, at.stage, at.epoch, at.step, *processes.own_seed))
        rate = self.optimizer.set_rate(self._taken, self.recipe.epochs * self.steps)
        loss: Tensor | None = None
        values: dict[str, float] = {}
        if batch.pictures:
            loss, figures = self._loss(batch)
            values = {"loss": loss.item(), **figures}
        # Losses are means over words, or over pictures where there are none, and shares count by the same.
        weight = int((batch.targets != PAD).sum()) or len(batch.pictures)
        values, share = processes.mean(values, weight)
        if not math.isfinite(values["loss"]):
            raise self.state.diverged(f"loss became {values['loss']}", at.step + 1)
        self.optimizer.descend(loss, share)
        self.optimizer.update_average(self._taken)
        at.step += 1
        return values, rate

    def _loss(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Loss and other figures of a batch whose regions are still pictures where the encoder runs."""
        model, device = self.setup.start.model, self.setup.device
        with autocast(device):
            regions, encoder = batch.regions.to(device), model.encoder
            if self.feed.below is not None:
                assert isinstance(encoder, Encoder), "what sees nothing has no blocks to begin from"
                regions = encoder.encode_from(regions, self.feed.below)
            elif not self.feed.cached:
                regions = encoder(regions)
            batch = replace(batch, regions=regions, targets=batch.targets.to(device))
            loss, figures = self.objective.loss(model, batch)
            if self._anchors is not None:
                anchors = self._anchors[torch.tensor(batch.pictures)].to(device)
                drift = 1 - F.cosine_similarity(regions.float().mean(1), anchors).mean()
                loss, figures = loss + self.recipe.anchor * drift, figures | {"drift": drift.item()}
        return loss, figures

    def judge(self, log: TrainingLog) -> dict[str, float]:
        """Dev scores by data set of the averaged weights, which are kept if they are the best.

        Raises:
            CapcliError: if weights are not finite.
        """
        self._check_weights()
        setup, at, model = self.setup, self.state.position, self.setup.start.model
        scores = {}
        with self.optimizer.averaged():
            model.eval()
            for name in setup.recipe.data.choose_by or tuple(setup.corpus.dev):
                with autocast(setup.device):
                    items = setup.corpus.dev[name]
                    scores[name] = self.objective.judge(model, items, setup.recipe.decoding, self.feed.plain)
                figure = {"dev": name, "metric": self.objective.metric, "score": scores[name]}
                log.row(stage=at.stage, epoch=at.epoch, step=at.step, **figure)
            if self.keeps(scores):
                self.state.keep_best(self.objective, scores)
        return scores

    def merit(self, scores: dict[str, float]) -> float:
        """What weights of these dev scores are chosen by: the mean of the data sets that choose, more is better."""
        return self.objective.merit(fmean(scores[name] for name in self.setup.corpus.choosing or tuple(scores)[:1]))

    def keeps(self, scores: dict[str, float]) -> bool:
        """Whether weights of these dev scores take the place of those kept before."""
        return self.recipe.keep == "last" or self.merit(scores) > self.state.position.best

    def save(self, *, ended: bool = False) -> None:
        """Writes where the run stands; of a stage that ended only the weights.

        Raises:
            CapcliError: if weights are not finite.
        """
        # Every process goes by it in the next stage.
        self.state.position.scaler = self.optimizer.scaler.state_dict()
        if not self.setup.processes.first:
            return
        self._check_weights()
        if ended:
            self.state.save()
        else:
            optimizer = self.optimizer
            self.state.save(optimizer.average, self.objective.state_dict(), optimizer.adamw, optimizer.names)

    def _check_weights(self) -> None:
        """Keeps weights that are no numbers out of every file, so that what a run leaves can be gone on from."""
        states = (self.setup.start.model.state_dict(), self.optimizer.average, self.objective.state_dict())
        if not all(bool(tensor.isfinite().all()) for state in states for tensor in state.values()):
            raise self.state.diverged("weights became infinite", self.state.position.step)
