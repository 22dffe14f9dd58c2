"""The training loop: the same for every decoder and objective."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from capcli.decoding.prefix import encode_prefix
from capcli.errors import CapcliError, ModelError, UsageError, system_reason
from capcli.model.device import bfloat16_pays
from capcli.model.encoder import Encoder, EncoderConfig
from capcli.model.encoder_blind import BlindEncoder
from capcli.model.network import CaptioningModel, ModelConfig
from capcli.modelfile.checkpoint import Checkpoint, write_safetensors
from capcli.modelfile.fingerprint import fingerprint
from capcli.modelfile.header import read_header
from capcli.modelfile.pruning import hold, zeros
from capcli.training.corpus import Corpus
from capcli.training.feed import Feed
from capcli.training.log import TrainingLog
from capcli.training.objectives.contract import Batch, Objective
from capcli.training.objectives.registry import objectives
from capcli.training.processes import Processes
from capcli.training.recipe import Recipe, StageRecipe
from capcli.training.run_key import run_key
from capcli.training.seed import seed_of
from capcli.training.starting_model import adapt_recipe, trained_parts
from capcli.training.state import Position, load_state, restore_optimizer, save_state
from capcli.words.vocabulary import PAD

SAVE_SECONDS = 300.0
LOG_STEPS = 20


class Trainer:
    """Runs a recipe in a folder: `state.safetensors` to resume from, `best.safetensors`, `log.csv`, `cache/`.

    A run that was stopped at any moment goes on where its last state was written and takes the same steps an
    undisturbed run takes, since every random choice is seeded by the recipe's seed and the step's number. A finished
    run goes on if its recipe has grown further stages.

    Args:
        recipe: what to do.
        corpus: what to train on.
        folder: the run's folder; made if missing.
        device: where to compute.
        encoder_weights: takes the place of the recipe's `[encoder] weights`; beside `start`, the weights of the encoder
            that a stage's `anchor` compares with.
        start: a model to go on from, in place of a new one of the recipe's `[encoder]` and `[decoder]`. Its decoding
            options stay too where the recipe has none, and a pruned one's zeros; the recipe's `[matcher]` is added to
            it if it has none, and its own is left out where a stage trains the encoder and none after it the matcher.
        cache: folder of cached regions, by default `cache/` in the run's folder.
        processes: those that train together, which share `folder` and `cache`. Each takes its share of every batch, so
            that a run takes the same steps and writes the same state whatever their number, which may change when it
            goes on; chance inside a step, such as dropout, is another in each of them.

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
    ) -> None:
        recipe = adapt_recipe(recipe, start)
        if processes.world > 1 and "matcher" in trained_parts(recipe):
            # Each would compare the pictures of its own share alone.
            raise UsageError("contrastive training compares all of a batch and needs one process: leave torchrun out")
        self.recipe, self.corpus, self.folder, self.device = recipe, corpus, folder, device
        self.begun_from = encoder_weights or recipe.encoder.weights if start is None else fingerprint(start.model)
        self.anchored_to = encoder_weights if start is not None else None
        self.pretrained = encoder_weights or ("none" if start is not None else recipe.encoder.weights)
        if self.pretrained == "none" and any(stage.restore for stage in recipe.stage):
            raise UsageError("restore mixes in what the encoder was trained from: give --encoder-weights")
        self.held_out = recipe.data.hold_out if start is None else min(recipe.data.hold_out, start.held_out)
        self.started_from_model, self.processes = start is not None, processes
        self.leaves_matcher = start is not None and start.model.matcher is not None and recipe.matcher is None
        self.cache_folder = cache or folder / "cache"
        self.best_file, self.state_file = folder / "best.safetensors", folder / "state.safetensors"
        torch.manual_seed(seed_of(recipe.seed, "model"))
        with processes.first_ahead():  # it may have to download weights
            self.model = self._model(start, encoder_weights)
        blocks = len(self.model.encoder.blocks)
        for number, stage in enumerate(recipe.stage, 1):
            if stage.train_from >= blocks:
                name = self.model.config.encoder.name
                raise UsageError(f"stage {number}: train_from must be below {blocks}, the number of blocks of {name}")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"{folder}: no folder for checkpoints can be made there ({system_reason(error)})"
            ) from None
        self.held = zeros(self.model) if start is not None and start.pruned else {}
        words = self.model.vocabulary
        self.encoded = [[words.encode(caption) for caption in captions] for captions in corpus.captions]
        self.position, self._restored = Position(), None
        # Of the best weights so far, by data set and metric.
        self.scores = start.scores if start is not None else {}
        if self.state_file.exists():
            self.position, run, tensors = load_state(self.state_file)
            if run != self._run_key():
                raise UsageError(
                    f"{folder}: holds a run of another recipe or data, or from other weights; choose another --run "
                    "folder"
                )
            try:
                self.model.load_state_dict(tensors["weights"])
            except RuntimeError:
                raise ModelError(f"{self.state_file}: not the state of this model; delete it to start anew") from None
            at = self.position
            judged = at.stage > 0 or at.epoch >= recipe.stage[0].judge_every or at.done
            if judged and not self.best_file.exists():
                raise UsageError(
                    f"{folder}: lacks its {self.best_file.name}; delete {self.state_file.name} to start anew, or "
                    "choose another --run folder"
                )
            if self.best_file.exists():
                self.scores = read_header(self.best_file).described["scores"]
            self._restored = tensors
            if self.position.done and self.position.stage + 1 < len(recipe.stage):
                self.position = self._next_stage(self.position)
        # Which words there are is known now, and not before.
        encode_prefix(recipe.decoding, words)
        places = processes.gather(json.dumps([self._run_key(), asdict(self.position)]))
        if len(set(places)) > 1:
            raise UsageError("the processes do not read the same data and the same run folder; they have to share both")
        self.model.to(device)
        hold(self.model, self.held)
        self.average: dict[str, Tensor] = {}
        self.anchors: Tensor | None = None
        self.objective: Objective
        self.optimizer: torch.optim.Optimizer | None = None
        self.names: list[str] = []
        self._saved_at = time.monotonic()

    def run(self) -> Checkpoint:
        """Trains through all stages and returns the weights that the last one keeps.

        Raises:
            CapcliError: if loss or gradient stop being finite; the last good state stays on disk.
            KeyboardInterrupt: on Ctrl-C; what was not saved, every `SAVE_SECONDS` and after an epoch, is done again.
        """
        if self.position.done:
            return Checkpoint.load(self.best_file)
        place = (self.position.stage, self.position.epoch, self.position.step)
        file, resume_at = self.folder / "log.csv", place if self._restored else None
        with TrainingLog(file, resume_at, quiet=not self.processes.first) as log:
            while not self.position.done:
                self._stage(self.recipe.stage[self.position.stage], log)
        return Checkpoint.load(self.best_file)

    def _model(self, start: Checkpoint | None, encoder_weights: str | None) -> CaptioningModel:
        recipe = self.recipe
        if start is not None:
            if recipe.matcher is None:
                start.model.drop_matcher()
            elif start.model.matcher is None:
                start.model.add_matcher(recipe.matcher)
            return start.model
        encoder = EncoderConfig.of(recipe.encoder.name, recipe.encoder.size)
        config = ModelConfig(encoder, recipe.decoder, recipe.matcher)
        model = CaptioningModel(config, self.corpus.vocabulary(recipe.data.min_count))
        source = encoder_weights or recipe.encoder.weights
        if source != "none" and not self.state_file.exists():
            model.encoder.load_pretrained(source)
        return model

    def _next_stage(self, ended: Position) -> Position:
        """Where the stage after one that ended begins; only a score of the same metric is one to beat.

        Nor is that of an encoder which has forgotten one for an encoder that shall remember.
        """
        stages = self.recipe.stage[ended.stage : ended.stage + 2]
        before, after = (objectives()[stage.objective].metric for stage in stages)
        return Position(ended.stage + 1, best=-math.inf if stages[1].restore or before != after else ended.best)

    def _prepare_objective(self, stage: StageRecipe) -> None:
        torch.manual_seed(seed_of(self.recipe.seed, self.position.stage, "objective"))
        self.objective = objectives()[stage.objective](stage, self.recipe, self.model, self.encoded).to(self.device)
        if self._restored and self._restored["objective"]:
            self.objective.load_state_dict(self._restored["objective"])
        self.objective.train()

    def _stage(self, stage: StageRecipe, log: TrainingLog) -> None:
        at = self.position
        model = self.model
        self._restore_encoder(stage)
        resting = stage.train_from < 0 or not stage.encoder_learning_rate
        model.encoder.train_from(None if resting else stage.train_from)
        self._prepare_objective(stage)
        self._prepare_optimizer(stage)
        corpus, encoded, encoder = self.corpus, self.encoded, model.encoder
        if stage.objective == "language" and model.config.encoder.sees:
            corpus = corpus.as_sentences(model.vocabulary)
            encoded = [[model.vocabulary.encode(words)] for (words,) in corpus.captions]
            # Noise that never changes. Of equal regions layer norm would leave nothing but the dropout's noise.
            shape, source = (math.prod(encoder.grid), encoder.width), torch.Generator().manual_seed(0)
            encoder = BlindEncoder(encoder.config, torch.randn(shape, generator=source))
        with self.processes.first_ahead():  # which computes the regions that the others read
            feed = Feed(
                stage, at.stage, self.recipe, corpus, encoded, encoder, self.cache_folder, log,
                least_captions=self.objective.least_captions, share=self.processes.share,
            )  # fmt: skip
            self.anchors = self._anchors(stage, feed)
        steps = math.ceil(feed.count / stage.batch_size)
        title = f"stage {at.stage + 1}/{len(self.recipe.stage)} {stage.objective}"
        if self.started_from_model and (at.stage, at.epoch, at.step) == (0, 0, 0):
            if self.leaves_matcher:
                log.say("the matcher, which learnt with the encoder as it was, is left out (train matching makes one)")
            # A model that only gets worse is handed back as it came.
            log.say(f"before training: dev {self.objective.metric} {_listed(self._judge(feed, log))}")
        while at.epoch < stage.epochs and at.waited < stage.patience:
            log.begin(f"{title} epoch {at.epoch + 1}/{stage.epochs}", feed.count, at.step * stage.batch_size)
            model.train()
            totals: Counter[str] = Counter()
            for picked, inputs, targets in feed.batches(at.epoch, at.step):
                torch.manual_seed(seed_of(self.recipe.seed, at.stage, at.epoch, at.step, *self.processes.own_seed))
                taken = at.epoch * steps + at.step
                rate = self._set_rate(stage, taken, stage.epochs * steps)
                progress = taken / (stage.epochs * steps)
                values = self._step(stage, feed, taken, Batch(inputs, picked[self.processes.share], targets, progress))
                at.step += 1
                totals.update(values | {"": 1})
                speed = log.advance(len(picked), f"loss {totals['loss'] / totals['']:.3f}")
                if at.step % LOG_STEPS == 0 or at.step == steps:
                    told = values | {"learning_rate": rate, "images_per_second": speed}
                    log.row(stage=at.stage, epoch=at.epoch, step=at.step, **told)
                if time.monotonic() - self._saved_at > SAVE_SECONDS:
                    self._save()
            said = " ".join(f"{name} {total / totals['']:.4f}" for name, total in totals.items() if name)
            if (at.epoch + 1) % stage.judge_every == 0 or at.epoch + 1 == stage.epochs:
                said += f", dev {self.objective.metric} {_listed(self._judge(feed, log))}"
            log.say(f"{title} epoch {at.epoch + 1}: {said}")
            at.epoch, at.step = at.epoch + 1, 0
            self._save()
        model.load_state_dict(Checkpoint.load(self.best_file).model.state_dict())
        log.say(f"{title}: {stage.keep} dev {self.objective.metric} {self._merit(at.best):.4f}")
        if at.stage + 1 == len(self.recipe.stage):
            self.position = Position(stage=at.stage, best=at.best, done=True)
        else:
            self.position = self._next_stage(at)
        self._restored, self.optimizer, self.average = None, None, {}
        self._save()

    def _prepare_optimizer(self, stage: StageRecipe) -> None:
        frozen = {n for n, p in self.model.named_parameters() if not (p.requires_grad and self.objective.trains(n))}
        trained = [(n, p) for n, p in self._parameters().items() if n not in frozen]
        groups = []
        self.names = []
        peaks = {
            "decoder": stage.learning_rate,
            "encoder": stage.encoder_learning_rate,
            "objective": self.objective.learning_rate,
        }
        for part, peak in peaks.items():
            for decay in (False, True):
                chosen = [(n, p) for n, p in trained if _part(n) == part and (p.dim() > 1) == decay]
                if chosen:
                    self.names += [name for name, _ in chosen]
                    weight_decay = stage.weight_decay if decay else 0.0
                    groups.append(
                        {
                            "params": [p for _, p in chosen],
                            "lr": peak,
                            "peak": peak,
                            "weight_decay": weight_decay,
                            "part": part,
                        }
                    )
        fused = self.device.type in ("cpu", "cuda")
        self.optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=fused)
        half = self.device.type == "cuda" and not bfloat16_pays(self.device)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=half)
        if self.position.scaler:
            self.scaler.load_state_dict(self.position.scaler)
        if self._restored and self._restored["optimizer"]:
            restore_optimizer(self.optimizer, self._restored["optimizer"], self.names)
        if stage.average:
            kept = self._restored["average"] if self._restored else {}
            self.average = {n: kept.get(n, p).detach().clone().to(self.device) for n, p in trained}

    def _set_rate(self, stage: StageRecipe, step: int, steps: int) -> float:
        assert self.optimizer is not None
        warm = min(1.0, (step + 1) / max(1, stage.warmup))
        cosine = (1 + math.cos(math.pi * step / max(1, steps))) / 2
        share = warm * (stage.final_learning_rate + (1 - stage.final_learning_rate) * cosine)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * share
        return stage.learning_rate * share

    def _step(self, stage: StageRecipe, feed: Feed, taken: int, batch: Batch) -> dict[str, float]:
        """One step on a batch whose regions are still pictures where the encoder runs; loss and other figures."""
        assert self.optimizer is not None
        at = self.position
        loss: Tensor | None = None
        values: dict[str, float] = {}
        if batch.pictures:
            with self._autocast():
                regions, encoder = batch.regions.to(self.device), self.model.encoder
                if feed.below is not None:
                    assert isinstance(encoder, Encoder), "what sees nothing has no blocks to begin from"
                    regions = encoder.encode_from(regions, feed.below)
                elif not feed.cached:
                    regions = encoder(regions)
                batch = replace(batch, regions=regions, targets=batch.targets.to(self.device))
                loss, figures = self.objective.loss(self.model, batch)
                if self.anchors is not None:
                    anchors = self.anchors[torch.tensor(batch.pictures)].to(self.device)
                    drift = 1 - F.cosine_similarity(regions.float().mean(1), anchors).mean()
                    loss, figures = loss + stage.anchor * drift, figures | {"drift": drift.item()}
            values = {"loss": loss.item(), **figures}
        # Losses are means over words, or over pictures where there are none, and shares count by the same.
        weight = int((batch.targets != PAD).sum()) or len(batch.pictures)
        values, share = self.processes.mean(values, weight)
        if not math.isfinite(values["loss"]):
            raise self._diverged(f"loss became {values['loss']}", at.step + 1)
        self.optimizer.zero_grad(set_to_none=True)
        if loss is not None:
            self.scaler.scale(loss * share).backward()
        groups = self.optimizer.param_groups
        # Before they are unscaled, so that all processes see the same overflow of float16.
        self.processes.sum_gradients([p for group in groups for p in group["params"]])
        self.scaler.unscale_(self.optimizer)
        # The objective's by themselves, or where they are large the model would take small steps.
        for own in (False, True):
            clipped = [p for group in groups if (group["part"] == "objective") == own for p in group["params"]]
            norm = torch.nn.utils.clip_grad_norm_(clipped, stage.clip)
            if not self.scaler.is_enabled() and not math.isfinite(norm.item()):
                raise self._diverged(f"gradient became {norm.item()}", at.step + 1)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.average:
            decay = min(stage.average, (1 + taken) / (10 + taken))
            current = self._parameters()
            names = list(self.average)
            torch._foreach_lerp_([self.average[n] for n in names], [current[n].detach() for n in names], 1 - decay)
        return values

    def _diverged(self, what: str, step: int) -> CapcliError:
        good = f" and --from {self.best_file}, its best weights so far" if self.best_file.exists() else ""
        return CapcliError(
            f"the {what} in stage {self.position.stage + 1}, epoch {self.position.epoch + 1}, step {step}; "
            f"lower learning_rate or clip and train in another --run folder{good}"
        )

    def _check_weights(self) -> None:
        """Keeps weights that are no numbers out of every file, so that what a run leaves can be gone on from."""
        weights = [*self.model.state_dict().values(), *self.average.values(), *self.objective.state_dict().values()]
        if not all(bool(tensor.isfinite().all()) for tensor in weights):
            raise self._diverged("weights became infinite", self.position.step)

    def _anchors(self, stage: StageRecipe, feed: Feed) -> Tensor | None:
        """What `anchor` compares with: from the stage's begin, so a file keeps it for a run that is gone on with."""
        if not stage.anchor:
            return None
        at, file = self.position, self.folder / f"anchors-{self.position.stage + 1}.safetensors"
        if self.processes.first and (at.epoch, at.step) == (0, 0):
            self.model.eval()
            with torch.inference_mode(), self._autocast():
                held_to = None if self.anchored_to is None else self._load_encoder(self.anchored_to)
                anchors = feed.anchors(held_to)
            write_safetensors(file, {"anchors": anchors.clone()}, {})
        try:
            return load_file(file)["anchors"]
        except (OSError, SafetensorError, KeyError) as error:
            raise ModelError(f"{file}: cannot be read ({error}); delete {self.state_file} to start anew") from None

    def _load_encoder(self, source: str) -> Encoder:
        """An encoder of the model's kind with pretrained weights, where training computes."""
        encoder = Encoder(self.model.config.encoder)
        encoder.load_pretrained(source)
        return encoder.to(self.device).eval()

    def _restore_encoder(self, stage: StageRecipe) -> None:
        """Mixes what the encoder was trained from into it, where the stage is at its begin and says so."""
        if not stage.restore or (self.position.epoch, self.position.step) != (0, 0):
            return
        begun_from = self._load_encoder(self.pretrained)
        with torch.no_grad():
            for own, before in zip(self.model.encoder.parameters(), begun_from.parameters(), strict=True):
                own.lerp_(before, stage.restore)

    def _judge(self, feed: Feed, log: TrainingLog) -> dict[str, float]:
        """Dev scores by data set, of which the first decides whether the weights are kept."""
        at = self.position
        scores = self.processes.gather(self._scores(feed, log) if self.processes.first else {})[0]
        merit = self._chosen_by(scores)
        at.best, at.waited = (merit, 0) if self._keeps(merit) else (at.best, at.waited + 1)
        return scores

    def _chosen_by(self, scores: dict[str, float]) -> float:
        """The merit by which weights are chosen: of the mean of the data sets that choose."""
        return self._merit(fmean(scores[name] for name in self.corpus.choosing or tuple(scores)[:1]))

    def _keeps(self, merit: float) -> bool:
        """Whether weights of this merit on dev take the place of those kept before."""
        return self.recipe.stage[self.position.stage].keep == "last" or merit > self.position.best

    def _scores(self, feed: Feed, log: TrainingLog) -> dict[str, float]:
        self._check_weights()
        at, model = self.position, self.model
        training = {n: p.detach().clone() for n, p in self._parameters().items() if n in self.average}
        self._assign(self.average)
        model.eval()
        scores = {}
        judged = self.recipe.data.choose_by or tuple(self.corpus.dev)
        for name in judged:
            items = self.corpus.dev[name]
            with self._autocast():
                scores[name] = self.objective.judge(model, items, self.recipe.decoding, feed.plain)
            figure = {"dev": name, "metric": self.objective.metric, "score": scores[name]}
            log.row(stage=at.stage, epoch=at.epoch, step=at.step, **figure)
        if self._keeps(self._chosen_by(scores)):
            # What captions scored holds on only if the words are the same.
            kept = {} if "decoder" in self.objective.parts else self.scores
            figures = {f"dev {name}": {self.objective.metric: score} for name, score in scores.items()}
            self.scores = kept | {name: kept.get(name, {}) | own for name, own in figures.items()}
            best = Checkpoint(
                model, self.recipe.decoding, self.recipe.to_dict(), self.scores,
                pruned=bool(self.held), held_out=self.held_out,
            )  # fmt: skip
            best.save(self.best_file, torch.float32)
        self._assign(training)
        return scores

    def _parameters(self) -> dict[str, nn.Parameter]:
        """The model's, and what the objective learns beside it."""
        own = {f"objective.{name}": parameter for name, parameter in self.objective.named_parameters()}
        return dict(self.model.named_parameters()) | own

    def _merit(self, score: float) -> float:
        """A dev score turned so that the greater is the better, and back."""
        return -score if self.objective.lower_is_better else score

    def _assign(self, values: dict[str, Tensor]) -> None:
        parameters = self._parameters()
        with torch.no_grad():
            for name, value in values.items():
                parameters[name].copy_(value)

    def _save(self) -> None:
        # Every process goes by it in the next stage.
        self.position.scaler = self.scaler.state_dict()
        if not self.processes.first:
            return
        self._check_weights()
        save_state(
            self.state_file,
            self.position,
            self._run_key(),
            self.model.state_dict(),
            self.average,
            # Between two stages it is that of the one that ended.
            self.objective.state_dict() if self.optimizer else {},
            self.optimizer,
            self.names,
        )
        self._saved_at = time.monotonic()

    def _run_key(self) -> str:
        """Names data and recipe up to the present stage: later stages may be changed or added while it runs."""
        if self.position.stage >= len(self.recipe.stage):
            return "of a recipe with more stages"
        model = self.model
        return run_key(
            self.recipe, self.position.stage, model.config, model.vocabulary, self.begun_from, self.corpus,
            anchored_to=self.anchored_to,
        )  # fmt: skip

    def _autocast(self) -> torch.autocast:
        pays = bfloat16_pays(self.device)
        dtype = torch.bfloat16 if pays or self.device.type != "cuda" else torch.float16
        return torch.autocast(self.device.type, dtype, enabled=pays or self.device.type == "cuda")


def _part(parameter: str) -> str:
    """What a parameter belongs to by its name: `encoder`, `objective`, or `decoder` for all else."""
    first = parameter.split(".")[0]
    return first if first in ("encoder", "objective") else "decoder"


def _listed(scores: dict[str, float]) -> str:
    return " ".join(f"{name} {score:.4f}" for name, score in scores.items())
