"""What the frozen blocks of an encoder make of pictures, computed once and kept on disk."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import random
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import nn

from capcli.arrays import Float16Array, UInt8Array
from capcli.errors import CapcliError, UsageError, system_reason
from capcli.files.atomic import write_whole
from capcli.files.lock import open_locked
from capcli.model.device import bfloat16_pays
from capcli.model.encoder import Encoder
from capcli.modelfile.fingerprint import fingerprint
from capcli.pictures.read import read_picture, to_array
from capcli.training.augment import augment

BATCH = 32
SYNC_BATCHES = 40
VERSION = 2
"""To be raised where the same picture comes to be prepared otherwise, so that no older cache is taken for a new one."""


class FeatureCache:
    """A float16 array (1 + views) x pictures x ... on disk, view 0 of the plain pictures, the others augmented.

    A row holds a picture's R x D regions or, where only the encoder's lower blocks are frozen, the H x W x C that these
    give (`Encoder.encode_below`).

    Beside the array lies the number of rows that are whole, so that what was stopped goes on and nothing that is not
    there is taken for regions.

    Args:
        encoder: frozen encoder, on the device that shall compute.
        pictures: files; the same file may not occur twice.
        folder: where caches are kept; one that fits is reused, also after an interrupted computation.
        views: augmented versions beside the plain one.
        crop: see `augment`.
        jitter: see `augment`.
        seed: source of the augmentation.
        below: keep what the blocks below this one give; None for the regions.
        report: called with (pictures done, all) while computing.

    Raises:
        UnreadableImage: for the first picture that cannot be read.
        UsageError: while another process computes the same rows, and for an encoder without blocks to keep apart.
        CapcliError: if they cannot be written; what is there is kept.
    """

    def __init__(
        self,
        encoder: Encoder,
        pictures: Sequence[Path],
        folder: Path,
        *,
        views: int = 0,
        crop: float = 1.0,
        jitter: float = 0.0,
        seed: int = 0,
        below: int | None = None,
        report: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        self.views = views
        self._row = {path: row for row, path in enumerate(pictures)}
        settings = [crop, jitter, seed] if views else []
        named = [[str(p), p.stat().st_size, p.stat().st_mtime_ns] for p in pictures]
        mixed = bfloat16_pays(next(encoder.parameters()).device)
        frozen = encoder if below is None else nn.Sequential(*encoder.blocks[:below])
        wanted = [VERSION, fingerprint(frozen), asdict(encoder.config), mixed, named, views, settings]
        wanted += [] if below is None else [below]
        key = hashlib.sha256(json.dumps(wanted).encode()).hexdigest()[:16]

        def compute(images: torch.Tensor) -> torch.Tensor:
            device = next(encoder.parameters()).device
            with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=mixed):
                images = images.to(device)
                return encoder(images) if below is None else encoder.encode_below(images, below)

        blank = torch.zeros(1, encoder.config.size, encoder.config.size, 3, dtype=torch.uint8)
        file = _RowFile(folder / key, ((1 + views) * len(pictures), *compute(blank).shape[1:]))
        jobs = [(view, path) for view in range(1 + views) for path in pictures]

        def prepare(job: tuple[int, Path]) -> UInt8Array:
            view, path = job
            picture = read_picture(path, at_least=2 * encoder.config.size)
            if view == 0:
                return to_array(picture, encoder.config.size)
            return augment(
                picture, encoder.config.size, crop, jitter, random.Random(os.fsencode(f"{seed} {view} {path.name}"))
            )

        def batches(done: int) -> Generator[Float16Array, None, None]:
            with ThreadPoolExecutor(2) as pool:
                upcoming = [pool.submit(prepare, job) for job in jobs[done : done + BATCH]]
                for start in range(done, len(jobs), BATCH):
                    batch = np.stack([future.result() for future in upcoming])
                    upcoming = [pool.submit(prepare, job) for job in jobs[start + BATCH : start + 2 * BATCH]]
                    yield compute(torch.from_numpy(batch)).to("cpu", torch.float16).contiguous().numpy()
                    report(start + len(batch), len(jobs))

        if not file.whole:
            file.fill(batches)
        self._array = file.read()

    def rows(self, pictures: Sequence[Path], views: Sequence[int] | None = None) -> torch.Tensor:
        """float32 B x ... of the pictures, each in its view (plain without `views`)."""
        count = len(self._row)
        chosen = views or [0] * len(pictures)
        rows = [view * count + self._row[path] for view, path in zip(chosen, pictures, strict=True)]
        return torch.from_numpy(self._array[rows].astype(np.float32))


class _RowFile:
    """An array of float16, written row by row to `NAME.npy`; `NAME.done` says how many rows are on the disk."""

    def __init__(self, name: Path, shape: tuple[int, ...]) -> None:
        self._data, self._progress = name.with_suffix(".npy"), name.with_suffix(".done")
        self._shape = shape
        header = io.BytesIO()
        described = {"descr": np.dtype(np.float16).str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(header, described)
        self._header, self._row = header.getvalue(), 2 * math.prod(shape[1:])

    @property
    def whole(self) -> bool:
        """Whether all rows are there."""
        try:
            return self._done(self._progress.read_text()) == self._shape[0]
        except OSError:
            return False

    def read(self) -> Float16Array:
        """The array, of which only what is asked for comes into memory."""
        array: Float16Array = np.load(self._data, mmap_mode="r")
        return array

    def fill(self, batches: Callable[[int], Generator[Float16Array, None, None]]) -> None:
        """Writes the rows that `batches`, given how many there are already, gives from there on."""
        try:
            self._data.parent.mkdir(parents=True, exist_ok=True)
            progress = open_locked(self._progress)
        except OSError as error:
            raise self._unwritable(error) from None
        if progress is None:
            raise UsageError(
                f"{self._data}: another run is computing these regions; wait for it or give another --cache folder"
            )
        with progress:
            done = self._done(progress.read().decode("ascii", "replace"))
            try:
                if not done:
                    # Before the rows go that it speaks of.
                    progress.truncate(0)
                # Written, not mapped into memory: on a full disk a mapped file kills the process.
                data = self._data.open("r+b" if done else "w+b", buffering=0)
                write_whole(data, self._header)
            except OSError as error:
                raise self._unwritable(error) from None
            with data, closing(batches(done)) as computed:
                self._append(data, progress, done, computed)

    def _append(self, data: io.FileIO, progress: io.FileIO, done: int, batches: Iterator[Float16Array]) -> None:
        for number, rows in enumerate(batches, 1):
            try:
                data.seek(len(self._header) + done * self._row)
                write_whole(data, rows.tobytes())
                done += len(rows)
                if number % SYNC_BATCHES == 0 or done == self._shape[0]:
                    os.fsync(data.fileno())
                    progress.seek(0)
                    progress.write(str(done).encode())
            except OSError as error:
                raise self._unwritable(error) from None

    def _done(self, progress: str) -> int:
        """How many rows are there, by what the progress says if the array is large enough to hold them."""
        try:
            done, size = int(progress or 0), self._data.stat().st_size
        except (OSError, ValueError):
            return 0
        return done if 0 <= done <= self._shape[0] and size >= len(self._header) + done * self._row else 0

    def _unwritable(self, error: OSError) -> CapcliError:
        return CapcliError(
            f"{self._data}: cannot be written ({system_reason(error)}); make room or give another --cache folder"
        )
