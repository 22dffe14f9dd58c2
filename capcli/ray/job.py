"""The job of `capcli caption --on ray`: pictures of a folder or bucket in, a folder of Parquet out.

`OUT/` holds `part-*.parquet`, `_manifest.json` and, once all pictures have a row, `_SUCCESS`. While the job goes on
`_inputs/` has the list of pictures, each with its number, and `_checkpoint/` what Ray Data has settled. A job that
ended goes on from there.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from capcli.decoding.options import DecodingKeywords
from capcli.errors import CapcliError, UsageError, system_reason
from capcli.files.json import dumps
from capcli.files.lock import open_output
from capcli.files.parquet import MANIFEST, SUCCESS
from capcli.files.target import hidden_beside
from capcli.keywords.options import KeywordOptions
from capcli.known import EXPECTED, know_model
from capcli.model.options import ModelOptions
from capcli.output.columns import table_path
from capcli.output.origin import read_origin
from capcli.output.resume_record import ResumeRecord
from capcli.ray.account import Account, Progress, drop_unsettled, prove
from capcli.ray.cluster import Workers, joined, plan_workers
from capcli.ray.places import Folder, one_line
from capcli.runs.observer import Observer
from capcli.runs.options import SharingOptions
from capcli.runs.session import Load, load_captioner
from capcli.runs.tally import Tally

BLOCK_ROWS = 256
"""Rows of each part where nothing else is asked for; a job that is killed captions so many again for each captioner."""

_INPUTS, _CHECKPOINT = "_inputs", "_checkpoint"
_LISTED = 1_000_000
"""Pictures in a file of the list."""


@dataclass(frozen=True)
class Job:
    """What is to be captioned, by what, and where to.

    Attributes:
        sources: folders, files and URIs as the user names them; a job goes on only with the same.
        find: gives the pictures that they name, in order; asked once, when the job begins.
        output: the folder, as the user calls it.
        model: the model; its `device` is each captioner's.
        decoding: fields of `DecodingOptions` that take the place of the model's own.
        words: of keywords.
        others: options beside decoding that change rows, for the origin.
        sharing: how much of the cluster captioners have.
        block_rows: rows of each part, a multiple of the model's batch.
        with_words: give the log-probability of every word.
        resume, anyway, overwrite: what to do where the folder is there.
        load: loads the model.
    """

    sources: Sequence[str]
    find: Callable[[], Sequence[str]]
    output: Path
    model: ModelOptions
    decoding: DecodingKeywords = field(default_factory=DecodingKeywords)
    words: KeywordOptions = field(default_factory=KeywordOptions)
    others: Mapping[str, object] = field(default_factory=dict)
    sharing: SharingOptions = field(default_factory=SharingOptions)
    block_rows: int | None = None
    with_words: bool = False
    resume: bool = False
    anyway: bool = False
    overwrite: bool = False
    load: Load = load_captioner

    @property
    def rows(self) -> int:
        """Rows of each part: whole batches of the model, so that a batch is the same in every run."""
        size = self.model.batch_size
        return -(-(self.block_rows or BLOCK_ROWS) // size) * size


def caption_on_ray(job: Job, observer: Observer | None = None) -> Tally:
    """Captions pictures on a cluster, each exactly once, whatever ends workers or an earlier run of the same job.

    Args:
        job: what to do.
        observer: hears of it.

    Returns:
        what became of the pictures.

    Raises:
        UsageError: where Ray does not fit, the folder is of another run or cannot be written, or no captioner fits
            into the cluster.
        CapcliError: where the job fails, or captions nothing for as long as the patience lasts.
    """
    observer, folder = observer or Observer(), Folder(job.output)
    with _alone(folder, job.output):
        begun = _begin(job, folder, observer)
        if (folder / SUCCESS).read() is not None:
            account = Account.of(json.loads((folder / MANIFEST).read() or b"{}"))
            return Tally(skipped=account.pictures - account.failed, failed=account.failed)
        return _go_on(job, folder, int(begun["pictures"]), observer)


def _go_on(job: Job, folder: Folder, total: int, observer: Observer) -> Tally:
    """Captions what is left of a job; returns what became of all of its pictures."""
    start = time.monotonic()
    with joined() as ray:
        workers = plan_workers(job.sharing, ray)
        before, progress = drop_unsettled(folder, _CHECKPOINT), Progress(ray)
        tally = Tally(skipped=before.pictures - before.failed)
        with observer.interruptible() as interrupt, observer.progress(total - before.pictures) as bar:
            ended = _in_thread(lambda: _execute(job, folder, workers, total, progress, ray))
            _watch(ended, progress, bar, interrupt, job.sharing.patience)
        tally.seconds, tally.interrupted = time.monotonic() - start, interrupt.is_set()
        if tally.interrupted:
            tally.captioned, tally.failed = progress.captioned, progress.failed
            return tally
        drop_unsettled(folder, _CHECKPOINT)
        account = prove(folder, total)
    _finish(folder, account)
    tally.failed = account.failed
    tally.captioned = account.pictures - account.failed - tally.skipped
    return tally


@contextmanager
def _alone(folder: Folder, name: Path) -> Iterator[None]:
    """Keeps a second job on this machine from a local folder; a bucket has no locks."""
    if not folder.is_local:
        yield
        return
    place = hidden_beside(Path(folder.path), "lock")
    with open_output(place, name):
        try:
            yield
        finally:
            with suppress(OSError):
                place.unlink()


def _begin(job: Job, folder: Folder, observer: Observer) -> dict[str, Any]:
    """Makes the folder ready, or finds that it is; returns its manifest."""
    origin = read_origin(job.model, job.decoding).with_options({"with_words": job.with_words, **job.others})
    try:
        held = folder.names()
        begun = MANIFEST in held
        if not begun and set(held) - {_INPUTS, f"{MANIFEST}.part"}:
            raise UsageError(f"{folder} holds other files, such as {held[0]}; name a new folder")
        # Of a job that ended before it had its list, nothing is left to go on with.
        if held and (job.overwrite or not begun):
            folder.clear()
            held = []
        if held and not (job.resume or job.anyway):
            raise UsageError(f"{folder} exists; --resume goes on with it, --overwrite begins anew")
        place = _Manifest(folder)
        manifest = place.entries()
        if held:
            how = {"holds": True, "resumes": True, "anyway": job.anyway}
            record = ResumeRecord(job.output, place, {}, **how)
            if (remark := record.check(origin)) is not None:
                observer.warn(remark)
            if (remark := record.begin()) is not None:
                observer.warn(remark)
            if manifest.get("sources") != list(job.sources):
                raise UsageError(
                    f"{folder} is of another run, over {', '.join(manifest.get('sources', ['other pictures']))}; name "
                    "a new folder"
                )
            return manifest
        folder.make()
        pictures = job.find()
        _write_inputs(folder / _INPUTS, pictures)
        names = hashlib.blake2b("\0".join(map(table_path_of, pictures)).encode(), digest_size=16).hexdigest()
        manifest = {
            "origins": [origin.to_json()],
            "sources": list(job.sources),
            "pictures": len(pictures),
            "listed": names,
        }
        # The list lies there before what says so.
        (folder / MANIFEST).write(dumps(manifest, indent=2) + b"\n")
    except OSError as error:
        raise UsageError(f"{folder} cannot be written ({system_reason(error)})") from None
    return manifest


def table_path_of(name: str) -> str:
    """What the column `path` says of a picture."""
    return table_path(Path(name)) if "://" not in name else name


def _write_inputs(folder: Folder, pictures: Sequence[str]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    folder.make()
    for number, start in enumerate(range(0, max(1, len(pictures)), _LISTED)):
        part = pictures[start : start + _LISTED]
        table = pa.table(
            {
                "number": pa.array(range(start, start + len(part)), pa.int64()),
                "path": pa.array([table_path_of(name) for name in part], pa.string()),
            }
        )
        with folder.filesystem.open_output_stream(f"{folder.path}/list-{number:05}.parquet") as file:
            parquet.write_table(table, file)


def _execute(job: Job, folder: Folder, workers: Workers, total: int, progress: Progress, ray: Any) -> None:
    """Runs the job to its end."""
    from ray.data.checkpoint import CheckpointConfig
    from ray.data.datasource import FilenameProvider

    from capcli.ray.caption_batch import CaptionBatch

    class Parts(FilenameProvider):
        def get_filename_for_task(self, write_uuid: str, task_index: int) -> str:
            return f"part-{write_uuid}-{task_index:06}.parquet"

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.checkpoint_config = CheckpointConfig(
        id_column="number",
        checkpoint_path=str(folder / _CHECKPOINT) if not folder.is_local else (folder / _CHECKPOINT).path,
        override_filesystem=folder.filesystem,
        # Only once all is proved: an end between the two would caption everything again.
        delete_checkpoint_on_success=False,
    )
    known = know_model(job.model.model)
    options: dict[str, Any] = {
        "model": job.model.model,
        "batch_size": job.model.batch_size,
        "language_model": job.model.lm,
        "device": job.model.device,
        "keywords": job.words.keywords,
        "vocabulary": job.words.vocabulary,
        "with_words": job.with_words,
        "cpus": workers.cpus,
        "folder": Path.cwd(),
        "sha256": known.identity.sha256,
        "expected": known.beside.get(EXPECTED),
        "total": total,
        "done": progress.report,
        "load": job.load,
        **job.decoding,
    }
    dataset = ray.data.read_parquet((folder / _INPUTS).path, filesystem=folder.filesystem)
    # Small rows would merge into one block, and nothing would be saved before the end.
    dataset = dataset.repartition(target_num_rows_per_block=job.rows, strict=True)
    dataset = dataset.map_batches(
        CaptionBatch,
        fn_constructor_kwargs=options,
        batch_format="pyarrow",
        batch_size=None,
        num_cpus=workers.cpus,
        num_gpus=workers.gpus or None,
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=workers.count, initial_size=workers.count),
    )
    dataset.write_parquet(
        folder.path, filesystem=folder.filesystem, filename_provider=Parts(), compression="zstd", try_create_dir=False
    )


def _in_thread(work: Callable[[], None]) -> Callable[[], BaseException | bool | None]:
    """Begins some work; what it gives says whether it still goes on (None), ended (True), or what it raised."""
    ended: list[BaseException | bool] = []

    def run() -> None:
        try:
            work()
            ended.append(True)
        except BaseException as error:
            ended.append(error)

    threading.Thread(target=run, name="capcli-ray", daemon=True).start()
    return lambda: ended[0] if ended else None


def _watch(
    ended: Callable[[], BaseException | bool | None], progress: Progress, bar: Any, interrupt: Any, patience: float
) -> None:
    """Waits for the end of the job, shows how far it is, and gives it up where nothing happens.

    Raises:
        CapcliError: for what the job raised, and where no picture was settled for longer than the patience.
    """
    shown, last = 0, time.monotonic()
    while (end := ended()) is None and not interrupt.wait(0.2):
        progress.update()
        now = progress.captioned + progress.failed
        if now > shown:
            with bar.lifted(now - shown):
                shown, last = now, time.monotonic()
        if time.monotonic() - last > patience:
            raise CapcliError(
                f"nothing was captioned for {patience:g} s: {progress.free()}; --resume goes on once there is more, "
                "and --patience waits longer"
            )
    if isinstance(end, BaseException):
        raise _failure(end)


def _failure(error: BaseException) -> CapcliError:
    """What made a job fail, in one line: of a captioner's error that which capcli said itself."""
    cause: BaseException | None = error
    while cause is not None:
        inner = getattr(cause, "cause", None) or cause.__cause__
        if isinstance(cause, CapcliError):
            return cause
        cause = inner if isinstance(inner, BaseException) else None
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = lines[-1] if lines else type(error).__name__
    return CapcliError(f"the job on Ray failed ({reason[:300]}); --resume goes on with it")


def _finish(folder: Folder, account: Account) -> None:
    """Says that the folder is whole, and takes away what only a job that goes on needs."""
    place = _Manifest(folder)
    manifest = {**place.entries(), "failed": account.failed}
    try:
        place.write(dumps(manifest, indent=2) + b"\n")
        (folder / SUCCESS).write(b"")
        for name in (_CHECKPOINT, _INPUTS):
            folder.filesystem.delete_dir((folder / name).path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise CapcliError(f"{folder}: {one_line(error)}; --resume ends it") from None


class _Manifest:
    """The manifest of a folder as the place of a record; a `Place` as `capcli.output.origin` takes it."""

    def __init__(self, folder: Folder) -> None:
        self._file = folder / MANIFEST

    def __str__(self) -> str:
        return str(self._file)

    def entries(self) -> dict[str, Any]:
        """What it says, nothing where it is not there."""
        try:
            entries = json.loads(self.read() or b"{}")
        except ValueError:
            entries = None
        if not isinstance(entries, dict):
            raise UsageError(f"{self._file} is damaged; name a new folder")
        return entries

    def read(self) -> bytes | None:
        """Its content, None where there is none; raises OSError."""
        return self._file.read()

    def write(self, content: bytes) -> None:
        """Replaces what it says of origins; raises OSError."""
        self._file.write(dumps({**self.entries(), **json.loads(content)}, indent=2) + b"\n")

    def remove(self) -> None:
        """Takes it away; raises OSError."""
        self._file.remove()
