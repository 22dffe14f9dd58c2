"""Whether two commits make the same of the same pictures with the same model.

usage: python benchmarks/same_output.py BEFORE AFTER --data DATASET [--split NAME] [--count N] [--model FILE]
                                        [--keep FOLDER]

Checks out both commits, captions the first N pictures of the dataset with the code of each, and compares all that they
write, byte for byte: captions on stdout, rows as JSON lines and CSV, sidecars as text and XMP, the captions, scores and
report of `capcli eval`, and files that only one of them writes. How fast it was is left out, and so are the records by
which a later run knows what it goes on with. Without --model both use the file base.safetensors of BEFORE. Prints what
differs; the exit code is 1 if anything does. --keep leaves what both wrote in a new folder.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import difflib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from machine import describe

REPOSITORY = Path(__file__).parents[1]
MOST_LINES, LONGEST_LINE = 20, 200

RUNS = {
    "captions.txt": ("caption", "pictures"),
    "texts.txt": (
        *("caption", "pictures", "-o", "rows.jsonl", "--with-words", "--num-captions", "3"),
        *("--sidecar", "txt", "--sidecar-dir", "texts"),
    ),
    "xmp.txt": ("caption", "pictures", "-o", "rows.csv", "--sidecar", "xmp", "--sidecar-dir", "xmp"),
    "eval.txt": (
        *("eval", "references.csv", "--human", "--no-java", "-o", "report.json", "--per-image", "images.csv"),
        *("--predictions-out", "predictions.jsonl"),
    ),
}
"""Commands, under the names of the files for their stdout; both commits know them."""

RECORDS = (".origin.json", ".settings.json")
"""Ends of the names of records for --resume."""

SPEED = re.compile(rb'[\d.,]+(?= images/s)|(?<="images_per_second": )[\d.]+')


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("before", metavar="BEFORE")
    parser.add_argument("after", metavar="AFTER")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()

    print(f"machine: {describe()}")
    with contextlib.ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        trees = [stack.enter_context(checked_out(commit, work)) for commit in (options.before, options.after)]
        model = (options.model or trees[0] / "weights" / "base.safetensors").resolve()
        pictures = gather(options.data, options.split, options.count, work / "input")
        places = [(options.keep or work) / name for name in ("before", "after")]
        for tree, place in zip(trees, places, strict=True):
            shutil.copytree(work / "input", place)
            run(tree, model, place)
        found = list(differences(*places))
    print(f"{pictures} pictures, {options.before} and {options.after}: {len(found)} files differ", *found, sep="\n")
    sys.exit(bool(found))


@contextlib.contextmanager
def checked_out(commit: str, work: Path) -> Iterator[Path]:
    """A folder with the files of a commit."""
    tree = Path(tempfile.mkdtemp(dir=work))
    git = ["git", "-C", str(REPOSITORY), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(tree), commit], check=True)
    try:
        yield tree
    finally:
        subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def gather(data: Path, split: str, count: int, folder: Path) -> int:
    """Copies the first pictures of a dataset, and writes their references beside them; returns how many they are."""
    from capcli.datasets.detect import read_dataset

    items = read_dataset(data).split(split)[:count]
    (folder / "pictures").mkdir(parents=True)
    with (folder / "references.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "caption"])
        for number, item in enumerate(items):
            name = f"pictures/{number:04}{item.image.suffix}"
            shutil.copyfile(item.image, folder / name)
            rows.writerows([name, caption] for caption in item.captions)
    return len(items)


def run(tree: Path, model: Path, place: Path) -> None:
    """Runs every command in a folder, with the code of a commit."""
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    python = [sys.executable, "-m"]
    for name, arguments in RUNS.items():
        command = [*python, "capcli", *arguments, "--model", str(model)]
        done = subprocess.run(command, cwd=place, env=environment, capture_output=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}\n{done.stderr.decode(errors='replace')}")
        (place / name).write_bytes(done.stdout)


def differences(before: Path, after: Path) -> Iterator[str]:
    """Of every file that differs, its name and the lines that do."""
    sides = [{file.relative_to(folder): file for file in files(folder)} for folder in (before, after)]
    for name in sorted(set().union(*sides)):
        versions = [side.get(name) for side in sides]
        if None in versions:
            yield f"\n{name}: only {'after' if versions[0] is None else 'before'}"
            continue
        old, new = (SPEED.sub(b"", file.read_bytes()) for file in versions if file)
        if old != new:
            yield "\n".join([f"\n{name}:", *changed(old, new)])


def files(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file() and not file.name.endswith(RECORDS)]


def changed(old: bytes, new: bytes) -> list[str]:
    """The lines that differ, the first of them where they are many."""
    before, after = (
        content.decode(errors="backslashreplace").replace("\r", "\\r").split("\n") for content in (old, new)
    )
    lines = [line for line in difflib.unified_diff(before, after, lineterm="", n=0) if not line.startswith("@@")][2:]
    shown = [f"  {line[:LONGEST_LINE]}{'...' * (len(line) > LONGEST_LINE)}" for line in lines[:MOST_LINES]]
    return shown if len(lines) <= MOST_LINES else [*shown, f"  and {len(lines) - MOST_LINES} lines more"]


if __name__ == "__main__":
    main()
