"""What commands that take figures share: notes on stderr, reports in files, and the settings in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from capcli.cli.messages import print_json, tell
from capcli.cli.options import path
from capcli.errors import CapcliError, system_reason
from capcli.evaluation.options import ReportOptions
from capcli.files.atomic import write_atomic

if TYPE_CHECKING:
    from capcli.compression.measurement import Measured
    from capcli.evaluation.people_report import PeopleReport
    from capcli.evaluation.report import Report

_Report = TypeVar("_Report", "Report", "PeopleReport")

_REFERENCES = typer.Option(
    "--references",
    parser=path,
    metavar="FILE",
    help="What people wrote about the images: COCO or Karpathy JSON, JSON lines, a table or a data set.",
)
References = Annotated[Path, _REFERENCES]
PerhapsReferences = Annotated[Path | None, _REFERENCES]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace reports that are there.")]

_SETTINGS = (
    *(
        "dataset",
        "split",
        "predictions",
        "ratings",
        "compare",
        "references",
        "allow_missing",
        "human",
        "retrieval",
        "training",
    ),
    *("no_java", "spice", "bootstrap_samples", "bootstrap_seed"),
)


def list_settings(chosen: Mapping[str, object]) -> dict[str, object]:
    """What was asked for that figures depend on, as plain values for a report."""
    asked = {name: chosen[name] for name in _SETTINGS if name in chosen}
    return {
        name: list(map(str, value)) if isinstance(value, tuple) else str(value) if isinstance(value, Path) else value
        for name, value in asked.items()
        if value is not None and value is not False
    }


def publish(report: Report, to: ReportOptions) -> None:
    """Writes a report where the options say, and prints it with its notes; raises CapcliError where it cannot."""
    from capcli.evaluation.page import page
    from capcli.evaluation.report import per_image_csv
    from capcli.evaluation.table import print_report

    _publish(report, to, print_report, per_image_csv, page)


def publish_people(report: PeopleReport, to: ReportOptions) -> None:
    """Writes what people said where the options say, and prints it with its notes; raises CapcliError if it cannot."""
    from capcli.evaluation.people_report import rated_csv
    from capcli.evaluation.people_tables import people_page, print_people

    _publish(report, to, print_people, rated_csv, people_page)


def _publish(
    report: _Report,
    to: ReportOptions,
    show: Callable[[_Report], None],
    rows: Callable[[_Report], bytes],
    page: Callable[[_Report], bytes],
) -> None:
    from capcli.evaluation.report import json_report

    tell_all(report.notes)
    # Before anything is printed, which fails where a reader of the output went away.
    if to.output:
        write_report(to.output, json_report(report.to_json()))
    if to.per_image:
        write_report(to.per_image, rows(report))
    if to.html:
        write_report(to.html, page(report))
    show(report)


def publish_measured(measured: Measured, show: Callable[[Measured], None], *, as_json: bool) -> None:
    """Prints models side by side with the notes about them, by `show` or as JSON; exits 1 if a picture is missing."""
    tell_all(measured.notes)
    if as_json:
        print_json(measured.to_json())
    else:
        show(measured)
    if measured.unreadable:
        raise typer.Exit(1)


def write_report(file: Path, content: bytes) -> None:
    """Writes a file; raises CapcliError where it cannot."""
    try:
        write_atomic(file, content)
    except OSError as error:
        raise CapcliError(f"{file}: {system_reason(error)}; the report is not written") from None


def tell_all(notes: Sequence[str]) -> None:
    """Says each of the notes on a line of its own."""
    for note in notes:
        tell(note)
