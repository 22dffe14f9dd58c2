"""The cluster: joined or started on this machine, and how much of it captioners may have."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capcli.errors import CapcliError, UsageError
from capcli.pictures.stream import usable_cores
from capcli.ray.places import one_line
from capcli.runs.options import SharingOptions

OLDEST = (2, 60)
"""The first version of Ray whose checkpoints are written in two phases and filtered by actors."""

RESERVED = 2
"""Cores that captioners leave to Ray: a resumed job reads its list by one and filters it by another, and waits for
ever where it gets none."""

_SILENCE = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    # Else Ray would tell a captioner without a GPU that there is none, and a later version of Ray warns of that.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
_USUAL_CORES = 4
_OBJECT_STORE = 256 * 2**20


@dataclass(frozen=True)
class Workers:
    """Who captions.

    Attributes:
        count: captioners at the same time.
        cpus: cores of each.
        gpus: graphics cards of each, or a part of one.
    """

    count: int
    cpus: float
    gpus: float


def require_ray() -> None:
    """Raises UsageError where Ray is not installed, or is not of a version that fits."""
    try:
        import ray
        import ray.data
    except ImportError:
        raise UsageError('--on ray needs Ray: pip install "capcli[ray]"') from None
    version = tuple(int(part) for part in ray.__version__.split(".")[:2] if part.isdigit())
    wanted = f"Ray {'.'.join(map(str, OLDEST))} or newer"
    if version < OLDEST:
        raise UsageError(f'capcli needs {wanted}, and {ray.__version__} is here: pip install --upgrade "capcli[ray]"')
    try:
        from ray.data.checkpoint import CheckpointConfig  # noqa: F401
    except ImportError:
        raise UsageError(f"Ray {ray.__version__} has no checkpoints as capcli knows them; install {wanted}") from None


@contextmanager
def joined() -> Iterator[Any]:
    """The cluster that this process has joined already or that RAY_ADDRESS names, else one on this machine.

    What Ray says of itself while the block runs is not heard: the job tells what matters.

    Yields:
        the module `ray`.

    Raises:
        UsageError: where Ray does not fit.
        CapcliError: where there is no such cluster.
    """
    for name, value in _SILENCE.items():
        os.environ.setdefault(name, value)  # read when Ray is imported
    require_ray()
    import logging

    import ray

    theirs = ray.is_initialized()
    with _hushed():
        if not theirs:
            _init(ray)
        loggers = [logging.getLogger(name) for name in ("ray", "ray.data")]
        levels = [logger.level for logger in loggers]
        try:
            for logger in loggers:
                logger.setLevel(logging.CRITICAL)
            yield ray
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
            if not theirs:
                with suppress(Exception):
                    ray.shutdown()


def _init(ray: Any) -> None:
    import logging

    address = os.environ.get("RAY_ADDRESS")
    how: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    if not address:
        # The cores for Ray itself are on top: they do next to nothing.
        how |= {"address": "local", "num_cpus": usable_cores() + RESERVED, "object_store_memory": _OBJECT_STORE}
        how |= {"include_dashboard": False}
    try:
        ray.init(**how)
    except Exception as error:  # ConnectionError, RuntimeError for another version, and whatever else is new
        where = f"at {address}" if address else "on this machine"
        raise CapcliError(f"there is no cluster of Ray {where} ({one_line(error)})") from None


@contextmanager
def _hushed() -> Iterator[None]:
    """Keeps Ray, whose threads and libraries print what happens elsewhere, from stdout and stderr."""
    with ExitStack() as stack:
        nowhere = stack.enter_context(Path(os.devnull).open("w"))
        stack.enter_context(redirect_stdout(nowhere))
        with suppress(OSError, ValueError, AttributeError):  # where stderr is no file
            if sys.stderr.fileno() == 2:
                kept = os.dup(2)
                ours = open(kept, "w", buffering=1, encoding=sys.stderr.encoding, errors=sys.stderr.errors)  # noqa: PTH123, SIM115
                stack.callback(ours.close)
                stack.callback(os.dup2, kept, 2)
                os.dup2(nowhere.fileno(), 2)
                stack.enter_context(redirect_stderr(ours))
        yield


def plan_workers(options: SharingOptions, ray: Any) -> Workers:
    """How many captioners the cluster holds beside what Ray needs itself.

    Raises:
        UsageError: where it holds none.
    """
    resources = ray.cluster_resources()
    nodes = [node["Resources"].get("CPU", 0.0) for node in ray.nodes() if node["Alive"]]
    free, largest = resources.get("CPU", 0.0) - RESERVED, max(nodes, default=0.0)
    cpus = options.captioner_cpus
    if cpus is None:
        alone = len(nodes) == 1
        cpus = free if alone and not options.captioner_gpus else min(_USUAL_CORES, largest, free)
    gpus = options.captioner_gpus
    if not 0 < cpus <= min(free, largest):
        raise UsageError(
            f"a captioner of {max(1.0, cpus):g} cores does not fit into this cluster: its largest machine has "
            f"{largest:g}, and {RESERVED} of all {free + RESERVED:g} are left to Ray; add machines, or lower "
            "--captioner-cpus"
        )
    count = int(free // cpus)
    if gpus:
        count = min(count, int(resources.get("GPU", 0.0) // gpus))
        if not count:
            raise UsageError(f"no captioner gets {gpus:g} GPUs: this cluster has {resources.get('GPU', 0.0):g}")
    return Workers(count, cpus, gpus)
