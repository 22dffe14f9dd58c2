"""The state of a run between two steps, in one safetensors file that a kill cannot tear."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from capcli.errors import ModelError
from capcli.modelfile.checkpoint import write_safetensors


@dataclass
class Position:
    """Where a run stands: the next step to take, the best dev score so far, and the loss scaler of float16.

    The best score is greater than the others: of a metric of which less is better it is the negative.
    """

    stage: int = 0
    epoch: int = 0
    step: int = 0
    best: float = -math.inf
    waited: int = 0
    done: bool = False
    scaler: dict[str, float] = field(default_factory=dict)


# A whole number may stand for another.
_KINDS: dict[str, type | tuple[type, ...]] = {"int": int, "float": (int, float), "bool": bool}


def save_state(
    path: Path,
    position: Position,
    run: str,
    weights: Mapping[str, Tensor],
    average: Mapping[str, Tensor],
    objective: Mapping[str, Tensor],
    optimizer: torch.optim.Optimizer | None,
    names: Sequence[str],
) -> None:
    """Writes everything the next step depends on; all chance is seeded by the position, so no generator is kept.

    Args:
        path: the file.
        position: where the run stands.
        run: a hash of recipe and data; `load_state` gives it back for comparison.
        weights: the model's state.
        average: running average of the trained weights by name.
        objective: state of the objective.
        optimizer: AdamW, or None before a stage begins.
        names: names of the optimizer's parameters in its order.
    """
    groups = {"weights": weights, "average": average, "objective": objective}
    tensors = {f"{group}.{name}": value for group, named in groups.items() for name, value in named.items()}
    if optimizer is not None:
        for index, state in optimizer.state_dict()["state"].items():
            for key, value in state.items():
                tensors[f"optimizer.{key}.{names[index]}"] = value
    tensors = {key: value.detach().clone().contiguous() for key, value in tensors.items()}
    write_safetensors(path, tensors, {"format": "capcli run 1", "run": run, "position": json.dumps(asdict(position))})


def load_state(path: Path) -> tuple[Position, str, dict[str, dict[str, Tensor]]]:
    """Reads what `save_state` wrote: position, run, and tensors by kind (weights, average, objective, optimizer).

    Raises:
        ModelError: if the file is not such a state.
    """
    groups: dict[str, dict[str, Tensor]] = {"weights": {}, "average": {}, "objective": {}, "optimizer": {}}
    try:
        with safe_open(path, framework="pt") as file:
            described = file.metadata() or {}
            position = Position(**json.loads(described["position"]))
            for attribute in fields(Position):
                if not isinstance(getattr(position, attribute.name), _KINDS.get(str(attribute.type), dict)):
                    raise TypeError(f"its {attribute.name} is {getattr(position, attribute.name)!r}")
            for key in file.keys():  # noqa: SIM118 - safe_open is no mapping
                group, name = key.split(".", 1)
                groups[group][name] = file.get_tensor(key)
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise ModelError(f"{path}: not the state of a training run ({error}); delete it to start anew") from None
    return position, described.get("run", ""), groups


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], names: list[str]) -> None:
    """Puts saved moments back into a fresh optimizer over the same parameters."""
    whole = optimizer.state_dict()
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for key, value in tensors.items():
        kind, name = key.split(".", 1)
        index = names.index(name)
        if value.shape == parameters[index].shape:
            # A fused step goes by the order in memory, which for convolutions is not that of the file.
            value = torch.empty_like(parameters[index], dtype=value.dtype).copy_(value)
        whole["state"].setdefault(index, {})[kind] = value
    optimizer.load_state_dict(whole)
