"""The class that Ray Data's `map_batches` takes: rows with pictures in, the same rows with captions out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from capcli.decoding.options import DecodingKeywords
from capcli.errors import ModelError
from capcli.keywords.options import KeywordOptions
from capcli.model.options import BATCH, ModelOptions
from capcli.output import Result
from capcli.output.columns import schema, to_table
from capcli.ray.pictures import LocalPictures
from capcli.runs.batches import make_result
from capcli.runs.plan import plan_share
from capcli.runs.session import Load, Session, load_captioner

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from capcli.keywords.chooser import KeywordChooser


class CaptionBatch:
    """Captions batches of rows; each worker of a cluster has one, which loads the model once.

    `dataset.map_batches(CaptionBatch, batch_format="pyarrow", batch_size=None, num_cpus=4, compute=...)`. A row has a
    picture under `bytes`, or its file under `path`: on a disk that every machine sees, or a URI such as
    `s3://bucket/a.jpg`. It comes back with `caption`, `captions`, `confidence`, `confidences`, `model`, `uncertain`,
    `words`, `keywords`, `status` and `error`; what there is not is null. A picture that cannot be read has its reason
    under `error` and raises nothing.

    Args:
        model: name of a shipped model, or a model file that every machine has at that path.
        batch_size: pictures that the model gets at once.
        language_model: one beside it, likewise.
        keywords: how many keywords a picture gets at most.
        vocabulary: a file with the only words that may be keywords.
        with_words: give the log-probability of every word.
        device: as `Captioner.load` has it; by default the GPU that Ray assigns, else the CPU.
        cpus: cores to use; by default those that Ray assigns.
        folder: below which relative paths lie, the same on every machine; by default where the worker runs.
        filesystem: a pyarrow file system for the paths of rows; by default what their URIs say.
        sha256: of the model's file; a machine that has another one refuses to begin.
        expected: with `sha256`, the hash of the words that it expects, as `capcli.known` has it; likewise.
        total: rows of the whole job, where `number` counts them from 0. Each picture is then computed with as many
            others as in a run of `capcli caption` over all of them, and has the same last digits.
        done: is called after each batch of the model with how many pictures it was, and how many of them failed.
        load: loads the model.
        **options: fields of `DecodingOptions` that take the place of the model's own.

    Raises:
        ModelError, UsageError: for a model or options that cannot be used.
    """

    def __init__(
        self,
        model: str = "base",
        *,
        batch_size: int = BATCH,
        language_model: str | None = None,
        keywords: int = 0,
        vocabulary: str | Path | None = None,
        with_words: bool = False,
        device: str = "auto",
        cpus: float | None = None,
        folder: str | Path | None = None,
        filesystem: Any = None,
        sha256: str | None = None,
        expected: str | None = None,
        total: int | None = None,
        done: Callable[[int, int], object] | None = None,
        load: Load = load_captioner,
        **options: Unpack[DecodingKeywords],
    ) -> None:
        from capcli.keywords.chooser import read_chooser

        place = ModelOptions(model=model, lm=language_model, device=device, batch_size=batch_size)
        wanted = KeywordOptions(keywords, None if vocabulary is None else Path(vocabulary))
        self._with_words, self._total, self._done = with_words, total, done
        self._filesystem, self._folder = filesystem, Path(folder or "")
        self._chooser: KeywordChooser | None = read_chooser(place.model, wanted)
        _check_model(model, sha256, expected)
        threads = max(1, int(assigned_cpus() if cpus is None else cpus))
        if load is load_captioner:
            import torch

            torch.set_num_threads(threads)
        self._session = Session(place, options, load=load, readers=min(4, threads))
        self._options = self._session.options  # loads the model, before Ray counts on this worker

    def __call__(self, batch: Any) -> Any:
        """Captions a batch.

        Args:
            batch: a pyarrow table, or columns by their names, as the formats `pyarrow` and `numpy` of Ray Data are.

        Returns:
            the same with more columns, in the same order.
        """
        columns = batch if isinstance(batch, Mapping) else dict(zip(batch.column_names, batch.columns, strict=True))
        count = len(next(iter(columns.values()), ()))
        rows = [
            {name: _plain(columns[name][row]) for name in ("path", "bytes", "number") if name in columns}
            for row in range(count)
        ]
        captioned = to_table(self._results(rows)).drop_columns(["path"])
        names = [field.name for field in schema() if field.name != "path"]
        if isinstance(batch, Mapping):
            import numpy as np

            extended: dict[str, Any] = dict(batch)
            for name in names:
                extended[name] = np.empty(count, object)
                extended[name][:] = captioned[name].to_pylist()
            return extended
        for name in names:
            batch = batch.drop_columns([name]) if name in batch.column_names else batch
            batch = batch.append_column(name, captioned[name])
        return batch

    def _results(self, rows: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, object]]:
        """What became of the pictures, in their order, each as `Result.row` has it."""
        size = self._session.model.batch_size
        with LocalPictures(rows, self._folder, 3 * size, self._filesystem) as pictures:
            together = self._together(rows, pictures.names, size)
            planned: Iterator[Path | None] = iter(pictures.names)
            if together is not None:
                planned = plan_share(pictures.names, together)
            fetched = (picture if picture is None else pictures.fetch(picture) for picture in planned)
            for part in self._session.batches(self._ask, fetched, together=together):
                failed = 0
                for reading, caption in part:
                    model = self._session.captioner.name
                    result = make_result(reading, caption, model, with_words=self._with_words)
                    if (reason := pictures.release(reading.path)) is not None:
                        result = Result(reading.path, error=reason)
                    failed += result.error is not None
                    yield result.row()
                if self._done is not None:
                    self._done(len(part), failed)

    def _ask(self, arrays: Any) -> Any:
        return self._session.captioner.caption_arrays(arrays, self._options, self._chooser)

    def _together(
        self, rows: Sequence[Mapping[str, Any]], names: Sequence[Path], size: int
    ) -> Callable[[Path], int] | None:
        if self._total is None:
            return None
        total, last = self._total, self._total - self._total % size
        tail = {name for row, name in zip(rows, names, strict=True) if row["number"] >= last}
        return lambda picture: total - last if picture in tail else size


def assigned_cpus() -> float:
    """Cores that Ray gives this process; all of the machine's outside of Ray, and where it says nothing."""
    import ray

    from capcli.pictures.stream import usable_cores

    if ray.is_initialized():
        assigned = ray.get_runtime_context().get_assigned_resources()
        return float(assigned.get("CPU", 1.0))
    return float(usable_cores())


def _check_model(model: str, sha256: str | None, expected: str | None) -> None:
    if sha256 is None:
        return
    from capcli.known import EXPECTED, know_model

    known = know_model(model)
    found = known.identity.sha256
    if found != sha256:
        raise ModelError(f"{model} is another model on this machine ({found[:12]}, not {sha256[:12]}); copy it there")
    if known.beside.get(EXPECTED) != expected:
        raise ModelError(f"{model} expects other words on this machine; copy the .words file beside it there, too")


def _plain(value: Any) -> Any:
    value = value.as_py() if hasattr(value, "as_py") else value
    return value.item() if hasattr(value, "item") else value
