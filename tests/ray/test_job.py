"""A job on a real local cluster with a real model, and what keeps one from beginning."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image
from typer.testing import CliRunner

from capcli.cli import app
from capcli.errors import CapcliError, UsageError
from capcli.files.parquet import read_parquet
from capcli.model.options import ModelOptions
from capcli.ray.account import drop_unsettled, prove
from capcli.ray.cluster import joined, plan_workers, require_ray
from capcli.ray.job import Job, caption_on_ray
from capcli.ray.places import Folder
from capcli.runs.options import SharingOptions

Start = Callable[..., "subprocess.Popen[bytes]"]

PICTURES, BATCH, ROWS = 42, 4, 8

OUT = Path("out")


def make_pictures(folder: Path, count: int) -> None:
    folder.mkdir()
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03}.png")
        if number % 20 == 7:
            (folder / f"{number:03}.png").write_bytes(b"broken")


def run(*arguments: object) -> Any:
    done = CliRunner().invoke(app, ["caption", *map(str, arguments)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    make_pictures(tmp_path / "pictures", PICTURES)
    return tmp_path


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("capcli.ray.cluster.usable_cores", lambda: 2)
        # A process of Ray takes more than a second of a core to start, and would be ended after a second without work.
        patch.setenv("RAY_idle_worker_killing_time_threshold_ms", "60000")
        with joined() as ray:
            yield ray


def options(model: Path, *more: object) -> list[object]:
    return ["pictures", "--model", model, "--batch-size", BATCH, *more]


def rows_of(output: Path) -> list[dict[str, Any]]:
    rows = [row for _, row in read_parquet(output)]
    return sorted(rows, key=lambda row: int(row.pop("number")))


@pytest.mark.slow
def test_rows_are_those_of_one_process_and_a_job_that_ended_goes_on(
    folder: Path, tiny_file: Path, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(*options(tiny_file, "-o", "rows.jsonl", "--keywords", 0)).exit_code == 1
    wanted = [{"uncertain": False} | json.loads(row) for row in Path("rows.jsonl").read_text().splitlines()]

    ray = options(tiny_file, "--on", "ray", "-o", OUT, "--part-rows", ROWS, "--captioner-cpus", 1)
    done = run(*ray)
    assert done.exit_code == 1, done.output
    assert "captioned 40, skipped 0, failed 2" in done.stderr
    assert done.stdout == ""
    assert rows_of(OUT) == wanted
    assert {entry.name.partition("-")[0] for entry in OUT.iterdir()} == {"part", "_manifest.json", "_SUCCESS"}
    assert len(list(OUT.glob("part-*.parquet"))) == -(-PICTURES // ROWS)

    again = run(*ray, "--resume")
    assert "captioned 0, skipped 40, failed 2" in again.stderr
    refused = {
        "out was made with --on ray": options(tiny_file, "-o", OUT, "--resume"),
        "out exists; --resume goes on with it": [*ray],
        "was made with --beam-size 2; you ask for 1": [*ray, "--resume", "--beam-size", 1],
        "is of another run, over": ["pictures/001.png", *ray[1:], "--resume"],
    }
    for message, arguments in refused.items():
        done = run(*arguments)
        assert (done.exit_code, message in done.stderr, done.stderr.count("\n")) == (2, True, 1), done.stderr


@pytest.mark.slow
def test_a_job_that_captions_nothing_is_given_up(folder: Path, tiny_file: Path, cluster: Any) -> None:
    job = Job(
        ["pictures"],
        lambda: ["pictures/000.png"],
        OUT,
        ModelOptions(str(tiny_file)),
        sharing=SharingOptions(captioner_cpus=1, patience=4),
        load=_never,
    )
    with pytest.raises(CapcliError, match=r"nothing was captioned for 4 s: .* cores of the cluster are free"):
        caption_on_ray(job)


def _never(place: ModelOptions) -> Any:
    time.sleep(15)  # and no longer, for it holds cores that the next test needs


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes of Ray in /proc")
def test_a_driver_and_a_captioner_are_killed_and_every_picture_is_there_once(
    folder: Path, tiny_file: Path, start: Start
) -> None:
    asked = options(tiny_file, "--on", "ray", "-o", OUT, "--part-rows", BATCH, "--resume")
    first = start(*asked)
    wait_for_checkpoints(first, 2)
    first.kill()
    first.communicate()
    assert not (OUT / "_SUCCESS").exists()
    # One that has not ended yet could settle a part that the second driver counts as open.
    wait_until(lambda: not captioners())

    second = start(*asked)
    wait_for_checkpoints(second, 1 + len(checkpoints()))
    killed = captioners()
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    _, errors = second.communicate()
    assert second.returncode == 1, errors
    assert b"skipped" in errors
    assert errors.count(b"\n") == 1, errors
    assert killed
    assert [row["path"] for row in rows_of(OUT)] == [f"pictures/{number:03}.png" for number in range(PICTURES)]


def checkpoints() -> list[Path]:
    return [path for path in OUT.glob("_checkpoint/*.parquet") if not path.stem.endswith(".pending")]


def wait_for_checkpoints(process: subprocess.Popen[bytes], count: int) -> None:
    wait_until(lambda: len(checkpoints()) >= count or process.poll() is not None)
    assert process.poll() is None, process.communicate()


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 300
    while not holds():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.02)


def captioners() -> list[int]:
    """Processes that caption, of those that this one started and those that these did."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(entry.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        parents.setdefault(parent, []).append(int(entry.parent.name))
    found = list(parents.get(os.getpid(), []))
    for ancestor in found:
        found += parents.get(ancestor, [])
    return [pid for pid in found if b"CaptionBatch" in cmdline(pid)]


def cmdline(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.fixture
def start(command: str, cluster: Any) -> Iterator[Start]:
    """Starts `capcli caption ARGUMENTS` on the cluster; what still runs when the test ends is killed."""
    started = []
    # The cluster outlives a driver that is killed, and ends what worked for it at once. One that a driver started
    # itself takes up to a minute to end.
    address = cluster.get_runtime_context().gcs_address

    def begin(*arguments: object) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "RAY_ADDRESS": address}
        asked = [command, "caption", *map(str, arguments)]
        started.append(subprocess.Popen(asked, env=environment, stderr=subprocess.PIPE))
        return started[-1]

    yield begin
    for process in started:
        with process:
            process.kill()


@pytest.fixture(scope="session")
def command() -> str:
    """Path of the installed console script."""
    return str(Path(sys.executable).with_name("capcli"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("pictures --on ray", "needs a folder"),
        ("pictures --on ray -o out --format csv", "writes Parquet, and no csv"),
        ("pictures --on ray -o out --sidecar txt", "has no --sidecar"),
        ("pictures --on ray -o out --shard 1/2", "leave --shard out"),
        ("--watch pictures --on ray -o out", "leave one out"),
        ("--on ray -o out", "name photographs"),
        ("nothing --on ray -o out", "no such file or folder"),
        ("pictures --on ray -o pictures", "holds other files, such as 000.png"),
        ("pictures --on ray -o pictures/000.png/out", "pictures/000.png/out: not a directory"),
        ("pictures --on ray -o s3://capcli-test/out", "s3://capcli-test/out cannot be"),
        ("pictures --on ray -o out --model nothing", "nothing"),
    ],
)
def test_what_cannot_be_is_one_line_before_ray_starts(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: str, message: str
) -> None:
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    for name, value in {**nowhere, "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("capcli.ray.job.joined", lambda: pytest.fail("Ray was started"))
    done = run(*arguments.split())
    assert done.exit_code == 2, done.output
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("version", "message"), [("2.9.3", "capcli needs Ray 2.60 or newer, and 2.9.3 is here"), ("1.0.0", "is here")]
)
def test_a_version_of_ray_that_does_not_fit_is_one_line(
    monkeypatch: pytest.MonkeyPatch, version: str, message: str
) -> None:
    import ray

    monkeypatch.setattr(ray, "__version__", version)
    with pytest.raises(UsageError, match=message):
        require_ray()
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r'pip install "capcli\[ray\]"'):
        require_ray()


def cluster_of(*nodes: float, gpus: float = 0) -> Any:
    states = [{"Alive": True, "Resources": {"CPU": cores}} for cores in nodes]
    return SimpleNamespace(cluster_resources=lambda: {"CPU": sum(nodes), "GPU": gpus}, nodes=lambda: states)


def test_captioners_leave_two_cores_to_ray() -> None:
    def workers(*nodes: float, gpus: float = 0, **asked: float) -> tuple[int, float]:
        planned = plan_workers(SharingOptions(**asked), cluster_of(*nodes, gpus=gpus))  # type: ignore[arg-type]
        return planned.count, planned.cpus

    assert workers(4) == (1, 2)
    assert workers(18, captioner_cpus=4) == (4, 4)
    assert workers(16, 16, 16) == (11, 4)
    assert workers(64, gpus=4, captioner_gpus=0.5) == (8, 4)
    for nodes, asked in [((2,), {}), ((4,), {"captioner_cpus": 3}), ((2, 2, 2), {"captioner_cpus": 3})]:
        with pytest.raises(UsageError, match="does not fit into this cluster"):
            workers(*nodes, **asked)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="this cluster has 0"):
        workers(16, captioner_gpus=1)


def test_a_job_that_ended_before_it_had_its_list_begins_anew(
    folder: Path, tiny_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (OUT / "_inputs").mkdir(parents=True)
    (OUT / "_inputs" / "list-00000.parquet").write_bytes(b"PAR1")
    (OUT / "_manifest.json.part").touch()

    def no_cluster() -> Any:
        raise CapcliError("no cluster")

    monkeypatch.setattr("capcli.ray.job.joined", no_cluster)
    done = run(*options(tiny_file, "--on", "ray", "-o", OUT))
    assert (done.exit_code, "no cluster" in done.stderr) == (1, True)
    listed = pyarrow.parquet.read_table(OUT / "_inputs" / "list-00000.parquet")
    assert listed["number"].to_pylist() == list(range(PICTURES))
    assert json.loads((OUT / "_manifest.json").read_text())["pictures"] == PICTURES


def test_a_part_that_no_checkpoint_stands_for_goes_and_what_is_there_is_counted(tmp_path: Path) -> None:
    for name, numbers in {"part-a-000000-0": [0, 1], "part-a-000001-0": [2], "part-b-000000-0": [2, 3]}.items():
        table = pa.table({"number": numbers, "error": pa.array([None] * len(numbers), pa.string())})
        pyarrow.parquet.write_table(table, tmp_path / f"{name}.parquet")
    (tmp_path / "_checkpoint").mkdir()
    for name in ("part-a-000000", "part-b-000000", "part-a-000001.pending"):
        (tmp_path / "_checkpoint" / f"{name}.parquet").touch()
    folder = Folder(tmp_path)
    with pytest.raises(CapcliError, match="has pictures twice"):
        prove(folder, 4)
    assert drop_unsettled(folder, "_checkpoint").pictures == 4
    assert {path.stem for path in tmp_path.glob("*.parquet")} == {"part-a-000000-0", "part-b-000000-0"}
    assert prove(folder, 4).pictures == 4
    with pytest.raises(CapcliError, match="lacks 1 picture;"):
        prove(folder, 5)
