"""What a job on Ray has settled: counted while it goes on, and proved at its end."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from capcli.errors import CapcliError
from capcli.ray.places import Folder, one_line
from capcli.words.counting import count_of

_PENDING = ".pending.parquet"


@dataclass(frozen=True)
class Account:
    """Rows of a whole folder.

    Attributes:
        pictures: all of them.
        failed: those with an error in the place of a caption.
    """

    pictures: int
    failed: int

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> Account:
        """What the manifest of a whole folder says."""
        return cls(int(manifest.get("pictures", 0)), int(manifest.get("failed", 0)))


class Progress:
    """Counts pictures while captioners work: an actor without a core, which every captioner tells.

    Attributes:
        captioned: pictures with a caption so far; those that a killed worker did are counted again.
        failed: pictures without.
    """

    def __init__(self, ray: Any) -> None:
        self._ray, self.captioned, self.failed = ray, 0, 0
        self._counter = ray.remote(num_cpus=0, max_restarts=-1)(_Counter).remote()
        self.report = Report(self._counter)

    def update(self) -> None:
        """Asks for the counts by now."""
        with suppress(Exception):  # a cluster that is busy, or gone: the job itself says so
            done, self.failed = self._ray.get(self._counter.counts.remote(), timeout=5)
            self.captioned = done - self.failed

    def free(self) -> str:
        """How much of the cluster is free, in words."""
        free: Mapping[str, float] = {}
        with suppress(Exception):
            free = self._ray.available_resources()
        cpus, gpus = free.get("CPU", 0.0), free.get("GPU", 0.0)
        return f"{cpus:g} cores" + (f" and {gpus:g} GPUs" if gpus else "") + " of the cluster are free"


class Report:
    """What a captioner calls after each batch; it goes to other machines."""

    def __init__(self, counter: Any) -> None:
        self._counter = counter

    def __call__(self, pictures: int, failed: int) -> None:
        self._counter.add.remote(pictures, failed)


class _Counter:
    def __init__(self) -> None:
        self._done = self._failed = 0

    def add(self, pictures: int, failed: int) -> None:
        self._done += pictures
        self._failed += failed

    def counts(self) -> tuple[int, int]:
        return self._done, self._failed


def drop_unsettled(folder: Folder, checkpoint: str) -> Account:
    """Removes parts that no checkpoint stands for: of a write that a killed job had not ended, or ended too late.

    Args:
        folder: of the job.
        checkpoint: name of the folder in it where Ray Data keeps what is settled.

    Returns:
        what is settled.

    Raises:
        CapcliError: where the folder cannot be read or written.
    """
    from pyarrow import parquet

    try:
        files = (folder / checkpoint).names()
        for name in files:
            if name.endswith(_PENDING):
                (folder / checkpoint / name).remove()
        settled = {name.removesuffix(".parquet") for name in files if not name.endswith(_PENDING)}
        pictures = failed = 0
        for name in folder.names():
            if not (name.startswith("part-") and name.endswith(".parquet")):
                continue
            # What Ray Data adds to the name of a task parts it from that name by a hyphen.
            stem = name.removesuffix(".parquet")
            if stem in settled or stem.rpartition("-")[0] in settled:
                with folder.filesystem.open_input_file((folder / name).path) as file:
                    errors = parquet.read_table(file, columns=["error"])["error"]
                pictures, failed = pictures + len(errors), failed + len(errors) - errors.null_count
            else:
                (folder / name).remove()
        return Account(pictures, failed)
    except OSError as error:
        raise CapcliError(f"{folder}: {one_line(error)}") from None


def prove(folder: Folder, total: int) -> Account:
    """Makes sure that the parts of a folder have each picture once.

    Args:
        folder: of the job.
        total: pictures of the job.

    Raises:
        CapcliError: where one is missing or there twice.
    """
    from pyarrow import parquet

    seen, failed = np.zeros(total, bool), 0
    for name in folder.names():
        if not (name.startswith("part-") and name.endswith(".parquet")):
            continue
        with folder.filesystem.open_input_file((folder / name).path) as file:
            table = parquet.read_table(file, columns=["number", "error"])
        numbers = table["number"].to_numpy()
        if len(np.unique(numbers)) < len(numbers) or seen[numbers].any():
            raise CapcliError(f"{folder} has pictures twice, in {name} and elsewhere; remove that part, and --resume")
        seen[numbers] = True
        failed += table.num_rows - table["error"].null_count
    if not seen.all():
        raise CapcliError(f"{folder} lacks {count_of(int((~seen).sum()), 'picture')}; --resume goes on")
    return Account(total, failed)
