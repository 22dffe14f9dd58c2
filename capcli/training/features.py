"""Regions of a frozen encoder, computed once and kept on disk."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from capcli.model.device import bfloat16_pays
from capcli.model.encoder import Encoder
from capcli.pictures.read import read_picture, to_array
from capcli.training.augment import augment

BATCH = 32


class FeatureCache:
    """A float16 array (1 + views) x pictures x R x D on disk, view 0 of the plain pictures, the others augmented.

    Args:
        encoder: frozen encoder, on the device that shall compute.
        pictures: files; the same file may not occur twice.
        folder: where caches are kept; one that fits is reused, also after an interrupted computation.
        views: augmented versions beside the plain one.
        crop: see `augment`.
        jitter: see `augment`.
        seed: source of the augmentation.
        report: called with (pictures done, all) while computing.

    Raises:
        UnreadableImage: for the first picture that cannot be read.
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
        report: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        self.views = views
        self._row = {path: row for row, path in enumerate(pictures)}
        count = len(pictures)
        settings = [crop, jitter, seed] if views else []
        named = [[str(p), p.stat().st_size, p.stat().st_mtime_ns] for p in pictures]
        wanted = [fingerprint(encoder), encoder.config.size, named, views, settings]
        key = hashlib.sha256(json.dumps(wanted).encode()).hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
        data, progress = folder / f"{key}.npy", folder / f"{key}.done"
        rows, columns = encoder.grid
        shape = ((1 + views) * count, rows * columns, encoder.width)
        done = int(progress.read_text() or 0) if data.exists() and progress.exists() else 0
        mode = "r+" if done else "w+"
        self._array = np.lib.format.open_memmap(data, mode, None if done else np.float16, None if done else shape)  # type: ignore[no-untyped-call]
        jobs = [(view, path) for view in range(1 + views) for path in pictures]

        def prepare(job: tuple[int, Path]) -> np.ndarray:
            view, path = job
            picture = read_picture(path, at_least=2 * encoder.config.size)
            if view == 0:
                return to_array(picture, encoder.config.size)
            return augment(picture, encoder.config.size, crop, jitter, random.Random(f"{seed} {view} {path.name}"))

        device = next(encoder.parameters()).device
        mixed = torch.autocast(device.type, torch.bfloat16, enabled=bfloat16_pays(device))
        with ThreadPoolExecutor(2) as pool, torch.inference_mode(), mixed:
            upcoming = [pool.submit(prepare, job) for job in jobs[done : done + BATCH]]
            for start in range(done, len(jobs), BATCH):
                batch = np.stack([future.result() for future in upcoming])
                upcoming = [pool.submit(prepare, job) for job in jobs[start + BATCH : start + 2 * BATCH]]
                regions = encoder(torch.from_numpy(batch).to(device))
                self._array[start : start + len(batch)] = regions.to("cpu", torch.float16).numpy()
                if start // BATCH % 40 == 39 or start + BATCH >= len(jobs):
                    self._array.flush()
                    progress.write_text(str(min(start + BATCH, len(jobs))))
                report(start + len(batch), len(jobs))

    def regions(self, pictures: Sequence[Path], views: Sequence[int] | None = None) -> torch.Tensor:
        """float32 regions B x R x D of the pictures, each in its view (plain without `views`)."""
        count = len(self._row)
        chosen = views or [0] * len(pictures)
        rows = [view * count + self._row[path] for view, path in zip(chosen, pictures, strict=True)]
        return torch.from_numpy(self._array[rows].astype(np.float32))


def fingerprint(encoder: Encoder) -> str:
    """A hash of the encoder's weights."""
    digest = hashlib.sha256()
    for name, tensor in encoder.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().to("cpu", torch.float32).contiguous().numpy().tobytes())
    return digest.hexdigest()
