"""What turns the losses of a stage into weights: AdamW, its rates, and the running average of what it reaches."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from capcli.training.objectives.contract import Objective
from capcli.training.precision import loss_scaler
from capcli.training.recipe import StageRecipe
from capcli.training.run_state import RunState
from capcli.training.setup import Setup
from capcli.training.state import restore_optimizer

_Named = list[tuple[str, nn.Parameter]]


class Optimizer:
    """The optimizer of a stage; that of a run goes on with its moments, its average and its scale of losses.

    Args:
        setup: what the run is given; the stage has frozen what it does not train of the model's encoder.
        state: where the run stands.
        stage: its recipe.
        objective: says what it trains, and may learn itself.

    Attributes:
        adamw: the optimizer itself.
        names: of its parameters, in its order.
        average: running average by name of the parameter; empty where the stage keeps none.
        scaler: multiplies losses, for float16.
    """

    def __init__(self, setup: Setup, state: RunState, stage: StageRecipe, objective: Objective) -> None:
        self._state, self._stage = state, stage
        self._model, self._objective = setup.start.model, objective
        self._processes = setup.processes
        frozen = {n for n, p in self._model.named_parameters() if not (p.requires_grad and objective.trains(n))}
        trained = [(n, p) for n, p in self._parameters().items() if n not in frozen]
        self.names: list[str] = []
        groups = self._groups(trained)
        self.adamw = torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=setup.device.type in ("cpu", "cuda"))
        self.scaler = loss_scaler(setup.device)
        if state.position.scaler:
            self.scaler.load_state_dict(state.position.scaler)
        if state.restored and state.restored["optimizer"]:
            restore_optimizer(self.adamw, state.restored["optimizer"], self.names)
        self.average: dict[str, Tensor] = {}
        if stage.average:
            kept = state.restored["average"] if state.restored else {}
            self.average = {n: kept.get(n, p).detach().clone().to(setup.device) for n, p in trained}

    def _groups(self, trained: _Named) -> list[dict[str, object]]:
        """The groups of parameters that have a rate and a decay in common; their names become `names`."""
        stage = self._stage
        peaks = {
            "decoder": stage.learning_rate,
            "encoder": stage.encoder_learning_rate,
            "objective": self._objective.learning_rate,
        }
        groups: list[dict[str, object]] = []
        for part, peak in peaks.items():
            for decay in (False, True):
                chosen = [(n, p) for n, p in trained if _part(n) == part and (p.dim() > 1) == decay]
                if chosen:
                    self.names += [name for name, _ in chosen]
                    parameters, weight_decay = [p for _, p in chosen], stage.weight_decay if decay else 0.0
                    groups.append(
                        {"params": parameters, "lr": peak, "peak": peak, "weight_decay": weight_decay, "part": part}
                    )
        return groups

    def _parameters(self) -> dict[str, nn.Parameter]:
        """The model's, and what the objective learns beside it."""
        own = {f"objective.{name}": parameter for name, parameter in self._objective.named_parameters()}
        return dict(self._model.named_parameters()) | own

    def set_rate(self, step: int, steps: int) -> float:
        """Sets the rates of a step of so many, a cosine after the warm-up, and returns that of the decoder."""
        stage = self._stage
        warm = min(1.0, (step + 1) / max(1, stage.warmup))
        cosine = (1 + math.cos(math.pi * step / max(1, steps))) / 2
        share = warm * (stage.final_learning_rate + (1 - stage.final_learning_rate) * cosine)
        for group in self.adamw.param_groups:
            group["lr"] = group["peak"] * share
        return stage.learning_rate * share

    def descend(self, loss: Tensor | None, share: float) -> None:
        """One step down the gradient of a loss, of which the other processes compute theirs.

        Args:
            loss: of this process's share of the batch; None where it has nothing of it.
            share: weight of this process's loss among all.

        Raises:
            CapcliError: if the gradient is not finite.
        """
        groups = self.adamw.param_groups
        self.adamw.zero_grad(set_to_none=True)
        if loss is not None:
            self.scaler.scale(loss * share).backward()
        # Before they are unscaled, so that all processes see the same overflow of float16.
        self._processes.sum_gradients([p for group in groups for p in group["params"]])
        self.scaler.unscale_(self.adamw)
        # The objective's by themselves, or where they are large the model would take small steps.
        for own in (False, True):
            clipped = [p for group in groups if (group["part"] == "objective") == own for p in group["params"]]
            norm = torch.nn.utils.clip_grad_norm_(clipped, self._stage.clip)
            if not self.scaler.is_enabled() and not math.isfinite(norm.item()):
                raise self._state.diverged(f"gradient became {norm.item()}", self._state.position.step + 1)
        self.scaler.step(self.adamw)
        self.scaler.update()

    def update_average(self, step: int) -> None:
        """Moves the average towards the weights after a step of the stage, numbered from 0; fast at first."""
        if not self.average:
            return
        decay = min(self._stage.average, (1 + step) / (10 + step))
        current, names = self._parameters(), list(self.average)
        torch._foreach_lerp_([self.average[n] for n in names], [current[n].detach() for n in names], 1 - decay)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Puts the average in the place of the weights while the block runs."""
        training = {n: p.detach().clone() for n, p in self._parameters().items() if n in self.average}
        self._assign(self.average)
        yield
        self._assign(training)

    def _assign(self, values: dict[str, Tensor]) -> None:
        parameters = self._parameters()
        with torch.no_grad():
            for name, value in values.items():
                parameters[name].copy_(value)


def _part(parameter: str) -> str:
    """What a parameter belongs to by its name: `encoder`, `objective`, or `decoder` for all else."""
    first = parameter.split(".")[0]
    return first if first in ("encoder", "objective") else "decoder"
