"""What readers wrote of captions: their tables, and the shares, differences and agreement that follow."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from capcli.errors import DatasetError
from capcli.metrics.bootstrap import interval, resample
from capcli.metrics.statistics import Means

MARKS = ("signed", "partly", "wrong")
PEOPLE = "people"
SAMPLES = 10_000
NORMAL = 1.959964
"""Within so many standard deviations lie 95 % of a normal distribution."""


def write_table(file: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Writes rows of equal keys as CSV that spreadsheets open as UTF-8; raises OSError."""
    with file.open("w", encoding="utf-8-sig", newline="") as table:
        writer = csv.DictWriter(table, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_table(file: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Rows of a CSV with at least these columns, each with where it stands; raises DatasetError.

    Spreadsheets of some countries write semicolons.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DatasetError(f"{file}: cannot be read ({error.strerror or error})") from None
    except UnicodeDecodeError:
        raise DatasetError(f"{file}: is not UTF-8; save it as CSV in UTF-8") from None
    header = text.partition("\n")[0]
    reader = csv.DictReader(
        io.StringIO(text, newline=""), delimiter=";" if header.count(";") > header.count(",") else ","
    )
    names = [name.strip().lower() for name in reader.fieldnames or []]
    missing = [column for column in columns if column not in names]
    if missing:
        raise DatasetError(f"{file}: has no column {missing[0]}; its columns are to be {', '.join(columns)}")
    reader.fieldnames = names
    for row in reader:
        yield f"{file}, line {reader.line_num}", {name: (row[name] or "").strip() for name in columns}


def read_number(text: str, where: str) -> int:
    """The number of a row; raises DatasetError."""
    if not text.isdecimal():
        raise DatasetError(f"{where}: {text!r} is not a number")
    return int(text)


def read_key(file: Path) -> dict[int, tuple[str, str]]:
    """Source and picture by number; raises DatasetError."""
    key: dict[int, tuple[str, str]] = {}
    for where, row in read_table(file, ("number", "source", "picture")):
        number = read_number(row["number"], where)
        if number in key:
            raise DatasetError(f"{where}: number {number} comes twice")
        key[number] = row["source"], row["picture"]
    return key


def read_marks(file: Path, numbers: Mapping[int, object]) -> dict[int, str]:
    """Marks by number, those left empty excepted; raises DatasetError."""
    marks: dict[int, str] = {}
    numbers_read: set[int] = set()
    for where, row in read_table(file, ("number", "mark")):
        number, written = read_number(row["number"], where), row["mark"].lower()
        if number not in numbers:
            raise DatasetError(f"{where}: the key has no number {number}; these marks are of other sheets")
        if number in numbers_read:
            raise DatasetError(f"{where}: number {number} comes twice")
        numbers_read.add(number)
        meant = [mark for mark in MARKS if written and mark.startswith(written)]
        if written and not meant:
            raise DatasetError(f"{where}: {row['mark']!r} is no mark; write {', '.join(MARKS)}")
        if meant:
            marks[number] = meant[0]
    if not marks:
        raise DatasetError(f"{file}: has no marks yet; write {', '.join(MARKS)} behind the numbers")
    return marks


def report(key: Mapping[int, tuple[str, str]], files: Sequence[Path]) -> Iterator[str]:
    """Lines of Markdown on the marks of one or several readers; raises DatasetError."""
    readers = [read_marks(file, key) for file in files]
    for file, marks in zip(files, readers, strict=True):
        if len(files) > 1:
            yield f"## {file.name}\n"
        yield from tabulate_shares(key, marks)
        yield from tabulate_differences(key, marks)
    for (first_file, first), (second_file, second) in combinations(zip(files, readers, strict=True), 2):
        yield from describe_agreement(f"{first_file.name} and {second_file.name}", first, second)


def tabulate_shares(key: Mapping[int, tuple[str, str]], marks: Mapping[int, str]) -> Iterator[str]:
    """A table with a row for each source."""
    yield "| source | marked | " + " | ".join(MARKS) + " |"
    yield "|---|---|" + "---|" * len(MARKS)
    for source in list_sources(key):
        counts = Counter(marks[number] for number in marks if key[number][0] == source)
        total = counts.total()
        cells = [format_share(counts[mark], total) for mark in MARKS]
        yield f"| {source} | {total} | " + " | ".join(cells) + " |"
    yield ""
    if missing := len(key) - len(marks):
        yield f"{missing} of {len(key)} captions have no mark and are left out.\n"


def tabulate_differences(key: Mapping[int, tuple[str, str]], marks: Mapping[int, str]) -> Iterator[str]:
    """A table of the differences between sources, in points of a hundred; nothing for one source."""
    of_source: dict[str, dict[str, str]] = defaultdict(dict)
    for number, mark in marks.items():
        source, picture = key[number]
        of_source[source][picture] = mark
    pairs = [
        (second, first, sorted(of_source[second].keys() & of_source[first].keys()))
        for first, second in combinations(list_sources(key), 2)
    ]
    if not any(both for *_, both in pairs):
        return
    yield "| difference, in points | pictures | " + " | ".join(MARKS) + " |"
    yield "|---|---|" + "---|" * len(MARKS)
    for second, first, both in pairs:
        if not both:
            continue
        columns = [[mark_row(of_source[source][picture]) for picture in both] for source in (second, first)]
        values = 100 * (np.array(columns[0]) - np.array(columns[1]))
        drawn = resample([Means(MARKS, values)], len(both), SAMPLES, seed=0)
        cells = [
            "{:+.0f} ({:+.0f} to {:+.0f})".format(values[:, place].mean(), *interval(drawn[mark]))
            for place, mark in enumerate(MARKS)
        ]
        yield f"| {second} less {first} | {len(both)} | " + " | ".join(cells) + " |"
    yield ""


def describe_agreement(title: str, first: Mapping[int, str], second: Mapping[int, str]) -> Iterator[str]:
    """How often two readers gave the same mark, Cohen's kappa (1960), and a table of both."""
    both = sorted(first.keys() & second.keys())
    if not both:
        yield f"{title} have marks of no caption in common.\n"
        return
    counts = Counter((first[number], second[number]) for number in both)
    same = sum(counts[mark, mark] for mark in MARKS)
    chance = (
        sum(sum(counts[mark, other] for other in MARKS) * sum(counts[other, mark] for other in MARKS) for mark in MARKS)
        / len(both) ** 2
    )
    kappa = "" if chance == 1 else f"; kappa {(same / len(both) - chance) / (1 - chance):.2f}"
    yield f"{title} agree on {same} of {len(both)} captions: {format_share(same, len(both))}{kappa}.\n"
    yield "| first reader | " + " | ".join(f"second: {mark}" for mark in MARKS) + " |"
    yield "|---|" + "---|" * len(MARKS)
    for mark in MARKS:
        yield f"| {mark} | " + " | ".join(str(counts[mark, other]) for other in MARKS) + " |"
    yield ""


def list_sources(key: Mapping[int, tuple[str, str]]) -> list[str]:
    """Models by name, then people."""
    return sorted({source for source, _ in key.values()}, key=lambda source: (source == PEOPLE, source))


def mark_row(mark: str) -> list[float]:
    return [float(mark == name) for name in MARKS]


def format_share(count: int, total: int) -> str:
    if not total:
        return "-"
    low, high = wilson(count, total)
    return f"{count / total:.0%} ({100 * low:.0f} to {100 * high:.0f})".replace("%", " %")


def wilson(count: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927), which stays within 0 and 1 for few and for extreme counts too."""
    share, squared = count / total, NORMAL**2
    middle = share + squared / (2 * total)
    spread = NORMAL * math.sqrt(share * (1 - share) / total + squared / (4 * total**2))
    low, high = ((middle + sign * spread) / (1 + squared / total) for sign in (-1, 1))
    return max(0.0, low), min(1.0, high)
