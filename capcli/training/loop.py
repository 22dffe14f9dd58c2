"""The training loop: the same for every decoder and objective."""

from __future__ import annotations

import hashlib
import json
import math
import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from capcli.errors import CapcliError, UsageError
from capcli.model.captioning import CaptioningModel, ModelConfig
from capcli.model.checkpoint import Checkpoint
from capcli.model.device import bfloat16_pays
from capcli.model.encoder import EncoderConfig
from capcli.model.vocabulary import END
from capcli.pictures.read import read_array, read_picture
from capcli.training.augment import augment
from capcli.training.corpus import Corpus
from capcli.training.evaluate import evaluate
from capcli.training.features import FeatureCache
from capcli.training.log import TrainingLog
from capcli.training.losses import cross_entropy, doubly_stochastic
from capcli.training.recipe import Recipe, StageRecipe
from capcli.training.self_critical import SelfCritical, pad, shift
from capcli.training.state import Position, load_state, restore_optimizer, save_state

SAVE_SECONDS = 300.0
LOG_STEPS = 20
BUCKET_BATCHES = 16


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
        encoder_weights: takes the place of the recipe's `[encoder] weights`.
        start: a model to go on from, in place of a new one of the recipe's `[encoder]` and `[decoder]`.
        cache: folder of cached regions, by default `cache/` in the run's folder.

    Raises:
        UsageError: if the folder holds a run of another recipe or other data.
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
    ) -> None:
        if start is not None:
            config = start.model.config
            encoder = replace(recipe.encoder, name=config.encoder.name, size=config.encoder.size)
            recipe = replace(recipe, encoder=encoder, decoder=config.decoder)
            recipe.check()
        self.recipe, self.corpus, self.folder, self.device = recipe, corpus, folder, device
        self.started_from_model = start is not None
        self.cache_folder = cache or folder / "cache"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{folder}: no folder for checkpoints can be made there ({error.strerror})") from None
        self.best_file, self.state_file = folder / "best.safetensors", folder / "state.safetensors"
        torch.manual_seed(_seed(recipe.seed, "model"))
        self.model = self._model(start, encoder_weights)
        words = self.model.vocabulary
        self.encoded = [[words.encode(caption) for caption in captions] for captions in corpus.captions]
        self.position, self._restored = Position(), None
        if self.state_file.exists():
            self.position, run, tensors = load_state(self.state_file)
            if run != self._run_key():
                raise UsageError(f"{folder}: holds a run of another recipe or other data; choose another --run folder")
            self.model.load_state_dict(tensors["weights"])
            self._restored = tensors
            if self.position.done and self.position.stage + 1 < len(recipe.stage):
                self.position = Position(stage=self.position.stage + 1, best=self.position.best)
        self.model.to(device)
        self.average: dict[str, Tensor] = {}
        self.optimizer: torch.optim.Optimizer | None = None
        self.names: list[str] = []
        self._saved_at = time.monotonic()

    def run(self) -> Checkpoint:
        """Trains through all stages and returns the weights that were best on dev.

        Raises:
            CapcliError: if loss or gradient stop being finite; the last good state stays on disk.
            KeyboardInterrupt: on Ctrl-C; what was not saved, every `SAVE_SECONDS` and after an epoch, is done again.
        """
        if self.position.done:
            return Checkpoint.load(self.best_file)
        place = (self.position.stage, self.position.epoch, self.position.step)
        with TrainingLog(self.folder / "log.csv", place if self._restored else None) as log:
            while not self.position.done:
                self._stage(self.recipe.stage[self.position.stage], log)
        return Checkpoint.load(self.best_file)

    def _model(self, start: Checkpoint | None, encoder_weights: str | None) -> CaptioningModel:
        if start is not None:
            return start.model
        recipe = self.recipe
        config = ModelConfig(EncoderConfig.of(recipe.encoder.name, recipe.encoder.size), recipe.decoder)
        model = CaptioningModel(config, self.corpus.vocabulary(recipe.data.min_count))
        source = encoder_weights or recipe.encoder.weights
        if source != "none" and not self.state_file.exists():
            model.encoder.load_pretrained(source)
        return model

    def _stage(self, stage: StageRecipe, log: TrainingLog) -> None:
        at = self.position
        model = self.model
        model.encoder.train_from(None if stage.train_from < 0 else stage.train_from)
        self._prepare_optimizer(stage)
        feed = _Feed(self, stage, log)
        critic = None
        if stage.objective == "self-critical":
            references = [self.encoded[i] for i in feed.pictures]
            critic = SelfCritical(references, self.recipe.decoding.max_length, stage.temperature)
        steps = math.ceil(feed.count / stage.batch_size)
        title = f"stage {at.stage + 1}/{len(self.recipe.stage)} {stage.objective}"
        if self.started_from_model and (at.stage, at.epoch, at.step) == (0, 0, 0):
            # A model that only gets worse is handed back as it came.
            log.say(f"before training: dev CIDEr-D {_listed(self._judge(feed, log))}")
        while at.epoch < stage.epochs and at.waited < stage.patience:
            log.begin(f"{title} epoch {at.epoch + 1}/{stage.epochs}", feed.count, at.step * stage.batch_size)
            model.train()
            total, count, rewards = 0.0, 0, 0.0
            for picked, regions in feed.batches(at.epoch, at.step):
                torch.manual_seed(_seed(self.recipe.seed, at.stage, at.epoch, at.step))
                rate = self._set_rate(stage, at.epoch * steps + at.step, stage.epochs * steps)
                loss, reward = self._step(stage, critic, feed, picked, regions)
                at.step += 1
                total, count, rewards = total + loss, count + 1, rewards + reward
                speed = log.advance(len(picked), f"loss {total / count:.3f}")
                if at.step % LOG_STEPS == 0 or at.step == steps:
                    values = {"loss": loss, "learning_rate": rate, "images_per_second": speed}
                    if critic is not None:
                        values["reward"] = reward
                    log.row(stage=at.stage, epoch=at.epoch, step=at.step, **values)
                if time.monotonic() - self._saved_at > SAVE_SECONDS:
                    self._save()
            scores = self._judge(feed, log)
            mean = f"loss {total / max(1, count):.4f}" + (f" reward {rewards / max(1, count):.4f}" if critic else "")
            log.say(f"{title} epoch {at.epoch + 1}: {mean}, dev CIDEr-D {_listed(scores)}")
            at.epoch, at.step = at.epoch + 1, 0
            self._save()
        model.load_state_dict(Checkpoint.load(self.best_file).model.state_dict())
        log.say(f"{title}: best dev CIDEr-D {at.best:.4f}")
        if at.stage + 1 == len(self.recipe.stage):
            self.position = Position(stage=at.stage, best=at.best, done=True)
        else:
            self.position = Position(stage=at.stage + 1, best=at.best)
        self._restored, self.optimizer, self.average = None, None, {}
        self._save()

    def _prepare_optimizer(self, stage: StageRecipe) -> None:
        trained = [(name, p) for name, p in self.model.named_parameters() if p.requires_grad]
        groups = []
        self.names = []
        for encoder in (False, True):
            for decay in (False, True):
                chosen = [
                    (n, p) for n, p in trained
                    if n.startswith("encoder.") == encoder and (p.dim() > 1) == decay
                ]  # fmt: skip
                if chosen:
                    self.names += [name for name, _ in chosen]
                    peak = stage.encoder_learning_rate if encoder else stage.learning_rate
                    weight_decay = stage.weight_decay if decay else 0.0
                    groups.append(
                        {
                            "params": [p for _, p in chosen],
                            "lr": peak,
                            "peak": peak,
                            "weight_decay": weight_decay,
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

    def _step(
        self, stage: StageRecipe, critic: SelfCritical | None, feed: _Feed, picked: list[int], inputs: Tensor
    ) -> tuple[float, float]:
        assert self.optimizer is not None
        model, at = self.model, self.position
        reward = 0.0
        with self._autocast():
            regions = inputs if feed.cached else model.encoder(inputs)
            loss = regions.new_zeros((), dtype=torch.float32)
            if critic is not None:
                order = [feed.order[i] for i in picked]
                loss, reward = critic.loss(model.decoder, regions, order, stage.captions)
            weight = stage.cross_entropy if critic is not None else 1.0
            if weight:
                targets = pad([c for i in picked for c in self.drawn_captions(stage, i)]).to(self.device)
                log_probabilities, attention = model.decoder(regions, shift(targets))
                loss = loss + weight * cross_entropy(log_probabilities, targets, stage.label_smoothing)
                if stage.doubly_stochastic and attention is not None:
                    loss = loss + weight * stage.doubly_stochastic * doubly_stochastic(attention, targets)
        if not math.isfinite(loss.item()):
            raise self._diverged("loss", loss.item())
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        norm = torch.nn.utils.clip_grad_norm_(parameters, stage.clip)
        if not self.scaler.is_enabled() and not math.isfinite(norm.item()):
            raise self._diverged("gradient", norm.item())
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.average:
            taken = at.epoch * math.ceil(feed.count / stage.batch_size) + at.step
            decay = min(stage.average, (1 + taken) / (10 + taken))
            current = dict(model.named_parameters())
            names = list(self.average)
            torch._foreach_lerp_([self.average[n] for n in names], [current[n].detach() for n in names], 1 - decay)
        return loss.item(), reward

    def _diverged(self, what: str, value: float) -> CapcliError:
        at = self.position
        return CapcliError(
            f"the {what} became {value} in stage {at.stage + 1}, epoch {at.epoch + 1}, step {at.step + 1}; "
            f"lower learning_rate or clip; {self.state_file} holds the last good state, if one was saved"
        )

    def drawn_captions(self, stage: StageRecipe, picture: int) -> list[list[int]]:
        """The captions, ends included, that a picture is trained on in this epoch."""
        at = self.position
        captions = self.encoded[picture]
        source = random.Random(f"{self.recipe.seed} {at.stage} {at.epoch} {picture} captions")
        drawn = source.sample(captions, min(stage.captions, len(captions)))
        drawn += source.choices(captions, k=stage.captions - len(drawn))
        longest = self.recipe.data.max_length
        # A caption that is cut has no end here, or the model would learn to stop in mid-sentence.
        return [[*caption, END] if len(caption) <= longest else caption[:longest] for caption in drawn]

    def _judge(self, feed: _Feed, log: TrainingLog) -> dict[str, float]:
        at, model = self.position, self.model
        training = {n: p.detach().clone() for n, p in model.named_parameters() if n in self.average}
        self._assign(self.average)
        model.eval()
        scores = {}
        for name, items in self.corpus.dev.items():
            with self._autocast():
                scores[name] = evaluate(model, items, self.recipe.decoding, feed.plain)
            log.row(stage=at.stage, epoch=at.epoch, step=at.step, dev=name, cider_d=scores[name])
        first = next(iter(scores.values()))
        if first > at.best:
            at.best, at.waited = first, 0
            figures = {f"dev {name}": {"CIDEr-D": score} for name, score in scores.items()}
            best = Checkpoint(model, self.recipe.decoding, self.recipe.to_dict(), figures)
            best.save(self.best_file, torch.float32)
        else:
            at.waited += 1
        self._assign(training)
        return scores

    def _assign(self, values: dict[str, Tensor]) -> None:
        parameters = dict(self.model.named_parameters())
        with torch.no_grad():
            for name, value in values.items():
                parameters[name].copy_(value)

    def _save(self) -> None:
        self.position.scaler = self.scaler.state_dict()
        save_state(
            self.state_file,
            self.position,
            self._run_key(),
            self.model.state_dict(),
            self.average,
            self.optimizer,
            self.names,
        )
        self._saved_at = time.monotonic()

    def _run_key(self) -> str:
        """Names data and recipe up to the present stage: later stages may be changed or added while it runs."""
        if self.position.stage >= len(self.recipe.stage):
            return "of a recipe with more stages"
        recipe = self.recipe.to_dict()
        recipe["stage"] = recipe["stage"][: self.position.stage + 1]
        model = [self.model.config.to_json(), self.model.vocabulary.words, self.started_from_model]
        data = [[item.image.name, item.captions] for item in self.corpus.train]
        dev = [[item.image.name for item in items] for items in self.corpus.dev.values()]
        return hashlib.sha256(json.dumps([recipe, model, data, dev]).encode()).hexdigest()

    def _autocast(self) -> torch.autocast:
        pays = bfloat16_pays(self.device)
        dtype = torch.bfloat16 if pays or self.device.type != "cuda" else torch.float16
        return torch.autocast(self.device.type, dtype, enabled=pays or self.device.type == "cuda")


class _Feed:
    """Training inputs of one stage: cached regions or augmented pictures, prepared ahead of the model."""

    def __init__(self, trainer: Trainer, stage: StageRecipe, log: TrainingLog) -> None:
        self.trainer, self.stage = trainer, stage
        self.cached = stage.features == "cached"
        enough = 2 if stage.objective == "self-critical" else 1
        self.pictures = [i for i, captions in enumerate(trainer.encoded) if len(captions) >= enough]
        if not self.pictures:
            raise UsageError("self-critical training needs pictures with at least two captions")
        self.count = min(stage.pictures or len(self.pictures), len(self.pictures))
        self.order = {picture: place for place, picture in enumerate(self.pictures)}
        self.size = trainer.model.encoder.config.size
        self.train = trainer.corpus.train
        if self.cached:
            files = list(dict.fromkeys(
                [item.image for item in self.train] + [i.image for items in trainer.corpus.dev.values() for i in items]
            ))  # fmt: skip
            log.begin("regions", (1 + stage.views) * len(files))
            trainer.model.eval()
            last = [0]

            def report(done: int, _: int) -> None:
                log.advance(done - last[0])
                last[0] = done

            self.cache = FeatureCache(
                trainer.model.encoder, files, trainer.cache_folder, views=stage.views, crop=stage.crop,
                jitter=stage.jitter, seed=trainer.recipe.seed, report=report,
            )  # fmt: skip

    def batches(self, epoch: int, first_step: int) -> Iterator[tuple[list[int], Tensor]]:
        """From step `first_step` on: picture indices and regions, or pictures where the encoder runs."""
        at, seed = self.trainer.position.stage, self.trainer.recipe.seed
        groups = self._groups(random.Random(f"{seed} {at} {epoch} order"))[first_step:]
        with ThreadPoolExecutor(2) as pool:

            def begin(group: list[int]) -> list:
                return [pool.submit(self._input, epoch, picture) for picture in group] if not self.cached else []

            upcoming = [begin(group) for group in groups[:2]]
            for index, group in enumerate(groups):
                if index + 2 < len(groups):
                    upcoming.append(begin(groups[index + 2]))
                ready = upcoming.pop(0)
                if self.cached:
                    yield group, self._cached(epoch, group)
                else:
                    batch = np.stack([future.result() for future in ready])
                    yield group, torch.from_numpy(batch).to(self.trainer.device)

    def _groups(self, source: random.Random) -> list[list[int]]:
        """Shuffled batches whose captions are of like length, for padding costs as much as words."""
        shuffled = list(self.pictures)
        source.shuffle(shuffled)
        shuffled = shuffled[: self.count]
        size, pool = self.stage.batch_size, self.stage.batch_size * BUCKET_BATCHES
        ordered: list[int] = []
        for start in range(0, len(shuffled), pool):
            ordered += sorted(shuffled[start : start + pool], key=self._longest)
        groups = [ordered[i : i + size] for i in range(0, len(ordered), size)]
        source.shuffle(groups)
        return groups

    def _longest(self, picture: int) -> int:
        return max(len(caption) for caption in self.trainer.drawn_captions(self.stage, picture))

    def plain(self, files: Sequence[Path]) -> Tensor:
        """Regions of pictures as they are, for evaluation."""
        if self.cached:
            return self.cache.regions(files).to(self.trainer.device)
        arrays = [read_array(file, self.size) for file in files]
        return self.trainer.model.encoder(torch.from_numpy(np.stack(arrays)).to(self.trainer.device))

    def _cached(self, epoch: int, group: list[int]) -> Tensor:
        files = [self.train[picture].image for picture in group]
        views = [self._chance(epoch, picture).randint(0, self.stage.views) for picture in group]
        return self.cache.regions(files, views).to(self.trainer.device)

    def _input(self, epoch: int, picture: int) -> np.ndarray:
        image = read_picture(self.train[picture].image, at_least=2 * self.size)
        return augment(image, self.size, self.stage.crop, self.stage.jitter, self._chance(epoch, picture))

    def _chance(self, epoch: int, picture: int) -> random.Random:
        return random.Random(f"{self.trainer.recipe.seed} {self.trainer.position.stage} {epoch} {picture} view")


def _listed(scores: dict[str, float]) -> str:
    return " ".join(f"{name} {score:.4f}" for name, score in scores.items())


def _seed(*parts: object) -> int:
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big") >> 1
