"""The processes that train one model together, as `torchrun` starts them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from capcli.errors import CapcliError, UsageError
from capcli.model.device import choose_device

T = TypeVar("T")

STEP_TIMEOUT = timedelta(minutes=30)
# While the first process computes regions or judges by a large dev split, the others wait for it.
WAIT_TIMEOUT = timedelta(days=2)
SECONDS_TO_TELL = 3.0
_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Processes:
    """One process's view of all that train together; without arguments, of a process alone.

    Every process keeps the whole model and takes the same steps. The gradient of a step is the sum of what the
    processes compute, each on its share of the batch and weighted by it, so that it is the gradient of the mean over
    the whole batch. It is summed here and not by `DistributedDataParallel`, which takes the plain mean of the
    processes' gradients whatever their shares, wants all of them to go through one forward of one module (policy
    gradient decodes first and reads the words again), and does not tell whether a parameter had a gradient anywhere,
    without which AdamW must leave it alone.

    Attributes:
        rank: number of this process, from 0.
        world: number of processes.
        local: number of this process on its machine.
    """

    rank: int = 0
    world: int = 1
    local: int = 0
    _group: dist.ProcessGroup | None = None

    @property
    def first(self) -> bool:
        """Whether this is the one process that writes files and says what is done."""
        return self.rank == 0

    @property
    def share(self) -> slice:
        """What this process takes of a batch, possibly nothing."""
        return slice(self.rank, None, self.world)

    @property
    def own_seed(self) -> tuple[int, ...]:
        """What sets the chance of this process apart; nothing where it is alone."""
        return (self.rank,) if self.world > 1 else ()

    def device(self, name: str) -> torch.device:
        """As `choose_device`, the CUDA device of this process's number where there are several processes.

        Raises:
            UsageError: as `choose_device` does, and for a device that processes cannot share.
        """
        if self.world == 1:
            return choose_device(name)
        if name not in ("auto", "cpu", "cuda"):
            raise UsageError(
                f"{name}: several processes train on cpu or on a CUDA device each; give --device cuda or cpu"
            )
        if name == "auto":
            name = "cuda" if torch.cuda.is_available() else "cpu"
        device = choose_device(f"cuda:{self.local}" if name == "cuda" else name)
        if device.type == "cuda":
            torch.cuda.set_device(device)
        return device

    def gather(self, value: T) -> list[T]:
        """The values of all processes by rank; each must call it.

        Raises:
            CapcliError: if a process has ended or does not answer within `WAIT_TIMEOUT`.
        """
        if self.world == 1:
            return [value]
        values: list[Any] = [None] * self.world
        with _together():
            dist.all_gather_object(values, value, group=self._group)
        return values

    @contextmanager
    def first_ahead(self) -> Iterator[None]:
        """Lets the first process go through the block before the others do, which then find what it made."""
        if not self.first:
            self.gather(None)
        yield
        if self.first:
            self.gather(None)

    def mean(self, values: dict[str, float], weight: float) -> tuple[dict[str, float], float]:
        """Weighted means over all processes of the first one's values, and the share that is this one's weight."""
        if self.world == 1:
            return values, 1.0
        gathered = [(of, by) for of, by in self.gather((values, weight)) if by]
        total = sum(by for _, by in gathered)
        return {name: sum(of[name] * by for of, by in gathered) / total for name in gathered[0][0]}, weight / total

    def sum_gradients(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Gives every process the sum of all processes' gradients; what has none anywhere goes on having none.

        Raises:
            CapcliError: if a process has ended or does not answer within `STEP_TIMEOUT`.
        """
        if self.world == 1:
            return
        present = torch.tensor(
            [p.grad is not None for p in parameters], dtype=torch.float32, device=parameters[0].device
        )
        gradients = [(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters]
        # One message for all: many small ones would take longer than what they say.
        whole = torch.cat([*gradients, present])
        with _together():
            dist.all_reduce(whole)
        *gradients, present = whole.split([*(p.numel() for p in parameters), len(parameters)])
        for parameter, gradient, processes in zip(parameters, gradients, present.tolist(), strict=True):
            if processes:
                if parameter.grad is None:
                    parameter.grad = torch.empty_like(parameter)
                parameter.grad.copy_(gradient.view_as(parameter))


@contextmanager
def joined() -> Iterator[Processes]:
    """The processes that `torchrun` started this one with; a process alone where it did not.

    An error ends all of them and is reported once: by the process that had it first. The others, which fail in turn as
    they miss it, leave without a word.

    Raises:
        UsageError: if the environment speaks of several processes and does not say which, or they do not meet.
        SystemExit: in place of any error, where another process had one first.
    """
    rank, world, local = _environment()
    if world == 1:
        yield Processes()
        return
    if not dist.is_available():
        raise UsageError("this build of torch cannot train with several processes")
    try:
        store, _, _ = next(iter(dist.rendezvous("env://", timeout=STEP_TIMEOUT)))
    except (RuntimeError, ValueError) as error:
        raise UsageError(f"the {world} processes do not meet ({_line(error)})") from None
    try:
        with _together():
            nccl = torch.cuda.is_available() and dist.is_nccl_available()
            backend = "cpu:gloo,cuda:nccl" if nccl else "gloo"
            dist.init_process_group(backend, store=store, rank=rank, world_size=world, timeout=STEP_TIMEOUT)
            group = dist.new_group(backend="gloo", timeout=WAIT_TIMEOUT)
            assert not isinstance(group, int), "every process is of the group"
        processes = Processes(rank, world, local, group)
        yield processes
        processes.gather(None)
    except BaseException as error:
        # The group is left as it is: the end of the process closes its connections, by which the others learn of it,
        # while an orderly good-bye would wait for them.
        if _is_first_to_fail(store):
            raise
        # The launcher ends all as soon as one ends, and reports that one's exit code.
        time.sleep(SECONDS_TO_TELL)
        raise SystemExit(130 if isinstance(error, KeyboardInterrupt) else getattr(error, "exit_code", 1)) from None
    dist.destroy_process_group()


def _environment() -> tuple[int, int, int]:
    """Rank, number of processes and rank on this machine."""
    values = {name: os.environ.get(name, "") for name in _VARIABLES}
    if values["WORLD_SIZE"] in ("", "1"):
        return 0, 1, 0
    absent = [name for name, value in values.items() if not value]
    if absent:
        raise UsageError(f"WORLD_SIZE is {values['WORLD_SIZE']}, but {absent[0]} is not set; start it with torchrun")
    try:
        rank, world, local = (int(values[name]) for name in _VARIABLES[:3])
    except ValueError:
        raise UsageError("RANK, WORLD_SIZE and LOCAL_RANK must be numbers; start it with torchrun") from None
    if not (0 <= rank < world and 0 <= local < world):
        raise UsageError(
            f"RANK {rank} and LOCAL_RANK {local} must be 0 to below WORLD_SIZE {world}; start it with torchrun"
        )
    return rank, world, local


def _is_first_to_fail(store: dist.Store) -> bool:
    try:
        return store.add(f"capcli failures {os.environ.get('TORCHELASTIC_RESTART_COUNT', '')}", 1) == 1
    except RuntimeError:
        return False  # the store went with a process that had ended before


@contextmanager
def _together() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise CapcliError(f"another process of this training ended or does not answer ({_line(error)})") from None


def _line(error: Exception) -> str:
    return str(error).strip().split("\n")[0].rstrip(".")
