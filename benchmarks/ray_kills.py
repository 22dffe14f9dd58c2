"""Whether a job on Ray that is killed again and again has every picture once, and how fast it is beside one process.

usage: python benchmarks/ray_kills.py [--pictures N] [--broken SHARE] [--workers N] [--drivers N] [--model NAME|FILE]
                                      [--batch-size N] [--part-rows N] [--folder FOLDER] [--seed N] [--skip-speed]

Makes small JPEGs, a share of them broken, or takes those in FOLDER. Captions them by `capcli caption -o rows.jsonl`,
then by `capcli caption --on ray` on a local cluster, and prints images per second of both from the first caption to the
end, their ratio, and whether the rows are equal. Then it runs the job again, kills captioners (SIGKILL), and then kills
the driver at random moments of its work and resumes it each time. Prints when each kill came, and at the end whether
each picture is there once with the row of the undisturbed run. The exit code is 1 if not.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from machine import command, describe
from PIL import Image
from pyarrow import dataset

from capcli.files.parquet import read_parquet
from capcli.model.options import BATCH


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--broken", type=float, default=0.05)
    parser.add_argument("--workers", type=int, default=10)
    parser.add_argument("--drivers", type=int, default=10)
    parser.add_argument("--model", default="base")
    parser.add_argument("--batch-size", type=int, default=BATCH)
    parser.add_argument("--part-rows", type=int, default=64)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--skip-speed", action="store_true", help="kill alone")
    options = parser.parse_args()

    print(f"machine: {describe()}")
    with tempfile.TemporaryDirectory(prefix="capcli-ray-kills-") as name:
        folder = Path(name)
        make_pictures(folder / "pictures", options)
        whole = folder / "rows.jsonl"
        speed = run(options, folder, whole)
        print(f"one process: {speed:.2f} images/s after start-up", flush=True)
        wanted = {row["path"]: row for row in map(json.loads, whole.read_text().splitlines())}
        equal = True
        if not options.skip_speed:
            on_ray = run(options, folder, folder / "undisturbed.parquet", "--on", "ray")
            print(f"on Ray: {on_ray:.2f} images/s after start-up; ratio {on_ray / speed:.3f}", flush=True)
            equal = compare(folder / "undisturbed.parquet", wanted, "undisturbed")
        chance = random.Random(options.seed)
        if options.workers:
            equal &= kill_workers(options, folder, chance, wanted)
        if options.drivers:
            equal &= kill_drivers(options, folder, chance, wanted)
    sys.exit(not equal)


def make_pictures(folder: Path, options: argparse.Namespace) -> None:
    folder.mkdir()
    found = sorted(options.folder.glob("*.jpg"))[: options.pictures] if options.folder else []
    broken = random.Random(1).sample(range(options.pictures), round(options.broken * options.pictures))
    for number in range(options.pictures):
        path = folder / f"{number:05}.jpg"
        if found:
            path.symlink_to(found[number % len(found)].resolve())
        else:
            noise = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
            Image.fromarray(noise).resize((320, 240), Image.Resampling.BICUBIC).save(path)
        if number in broken:
            path.unlink()
            path.write_bytes(b"no picture" * (number % 3))


def arguments(options: argparse.Namespace, output: Path, *more: str) -> list[str]:
    fixed = ["--model", options.model, "--batch-size", str(options.batch_size), "-o", str(output), "--resume"]
    return [command(), "caption", "pictures", *fixed, *(["--part-rows", str(options.part_rows)] if more else []), *more]


def run(options: argparse.Namespace, folder: Path, output: Path, *more: str) -> float:
    """Captions all; returns images per second between the first that is settled and the end."""
    process = subprocess.Popen(arguments(options, output, *more), cwd=folder, stderr=subprocess.PIPE)
    first: tuple[float, int] | None = None
    while process.poll() is None:
        if first is None and (done := settled(output)):
            first = time.perf_counter(), done
        time.sleep(0.02)
    assert process.stderr is not None
    stderr = process.stderr.read().decode()
    if process.returncode not in (0, 1) or first is None:
        raise SystemExit(f"it ended with exit code {process.returncode}: {stderr[-500:]}")
    return float(options.pictures - first[1]) / (time.perf_counter() - first[0])


def settled(output: Path) -> int:
    """Rows that are written."""
    if output.suffix != ".parquet":
        return output.read_bytes().count(b"\n") if output.exists() else 0
    files = output.glob("_checkpoint/*.parquet")
    names = [file.stem for file in files if not file.stem.endswith(".pending")]
    return sum(rows_of(output, name) for name in names)


def rows_of(output: Path, stem: str) -> int:
    try:
        return int(dataset.dataset([str(path) for path in output.glob(f"{stem}*.parquet")]).count_rows())
    except (OSError, ValueError):
        return 0


def compare(output: Path, wanted: dict[str, dict[str, Any]], what: str) -> bool:
    rows = [row for _, row in read_parquet(output)]
    numbers = sorted(row.pop("number") for row in rows)
    once = numbers == list(range(len(wanted)))
    for row in rows:
        if not row.get("uncertain"):
            row.pop("uncertain")
    differing = [row["path"] for row in rows if row != wanted[row["path"]]]
    coverage = "every picture once" if once else f"NOT every picture once ({len(set(numbers))} of {len(wanted)})"
    alike = "the rows equal" if not differing else f"{len(differing)} rows DIFFER, such as {differing[0]}"
    print(f"{what}: {coverage}; {alike} those of one process", flush=True)
    return once and not differing


def kill_workers(
    options: argparse.Namespace, folder: Path, chance: random.Random, wanted: dict[str, dict[str, Any]]
) -> bool:
    output, killed = folder / "workers.parquet", 0
    with subprocess.Popen(arguments(options, output, "--on", "ray"), cwd=folder, stderr=subprocess.DEVNULL) as process:
        while killed < options.workers and process.poll() is None:
            before = settled(output)
            while settled(output) == before and process.poll() is None:
                time.sleep(0.05)
            time.sleep(chance.uniform(0, 1))
            for pid in captioners(process.pid)[:1]:
                os.kill(pid, signal.SIGKILL)
                killed += 1
                print(f"worker {killed} killed with {settled(output)} rows settled", flush=True)
    if process.returncode not in (0, 1):
        raise SystemExit(f"the job ended with exit code {process.returncode}")
    return compare(output, wanted, f"{killed} workers killed") and killed == options.workers


def kill_drivers(
    options: argparse.Namespace, folder: Path, chance: random.Random, wanted: dict[str, dict[str, Any]]
) -> bool:
    output, killed, equal = folder / "drivers.parquet", 0, True
    while killed < options.drivers:
        process = subprocess.Popen(arguments(options, output, "--on", "ray"), cwd=folder, stderr=subprocess.DEVNULL)
        before = settled(output)
        if chance.random() < 0.2:
            time.sleep(chance.uniform(0, 5))
        else:
            while settled(output) <= before and process.poll() is None:
                time.sleep(0.05)
            time.sleep(chance.uniform(0, 2))
        below = descendants(process.pid)
        process.kill()
        if process.wait() == -signal.SIGKILL:
            killed += 1
            print(f"driver {killed} killed with {settled(output)} rows settled", flush=True)
        else:  # it was faster than the kills, and the rest of them need another run
            equal &= compare(output, wanted, "a run that ended")
            shutil.rmtree(output)
        wait_for_end(below)
    run_to_end = subprocess.run(arguments(options, output, "--on", "ray"), cwd=folder, stderr=subprocess.DEVNULL)
    equal &= run_to_end.returncode in (0, 1)
    return compare(output, wanted, f"{killed} drivers killed") and equal


def captioners(driver: int) -> list[int]:
    return [pid for pid in descendants(driver) if "CaptionBatch" in cmdline(pid)]


def descendants(pid: int) -> list[int]:
    """Processes that a process started, and those that these started."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split() if entry.name.isdigit() else []
        except OSError:
            continue
        if fields:
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        below = parents.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def cmdline(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def wait_for_end(pids: list[int]) -> None:
    """Lets what a killed driver left go; ends what is still there after half a minute."""
    end = time.monotonic() + 30
    while (left := [pid for pid in pids if "ray" in cmdline(pid)]) and time.monotonic() < end:
        time.sleep(0.2)
    for pid in left:
        print(f"process {pid} outlived its driver: {cmdline(pid)[:80]}")
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
