from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from capcli.errors import UsageError
from capcli.evaluation.options import ReportOptions, ScoringOptions, SourceOptions

FILE = Path("p.jsonl")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"split": "tset"}, "split must be one of test, dev, train, all, held-out, not 'tset'"),
        ({"predictions": FILE}, "--predictions needs --references FILE"),
        ({"compare": (FILE, FILE)}, "--compare needs --references FILE"),
        ({"references": FILE}, "--references needs --predictions FILE or --compare FILE FILE"),
        ({"predictions": FILE, "compare": (FILE, FILE), "references": FILE}, "--predictions scores one file"),
        ({"predictions": FILE, "references": FILE, "predictions_out": FILE}, "with --predictions none are"),
        ({"predictions_out": Path("x.csv")}, "--predictions-out x.csv holds JSON lines; let its name end in .jsonl"),
        ({"predictions_out": Path("x")}, "--predictions-out x holds JSON lines"),
        ({"resume": True}, "--resume needs --predictions-out FILE"),
        ({"resume": True, "overwrite": True, "predictions_out": FILE}, "contradict each other"),
    ],
)
def test_options_that_make_no_sense_together(options: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        SourceOptions(**options)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("reports", "told"),
    [
        ({"output": "refs.json"}, "-o refs.json would replace a file that is read"),
        ({"html": "./refs.json"}, "--html refs.json would replace a file that is read"),
        ({"output": "train.txt"}, "-o train.txt would replace a file that is read"),
        ({"output": "r", "html": "./r"}, "-o and --html both name r"),
        ({"per_image": "."}, "--per-image . is a folder"),
        ({"html": "no/where.html"}, "its folder does not exist"),
    ],
)
def test_reports_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reports: dict[str, str], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    source = SourceOptions(predictions=FILE, references=Path("refs.json"))
    options = ReportOptions(**{name: Path(path) for name, path in reports.items()})
    with pytest.raises(UsageError) as caught:
        options.check(source, ScoringOptions(training=Path("train.txt")), None)
    assert told in str(caught.value)


def test_a_file_of_the_data_set_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "captions.jsonl").touch()
    for reports, source in (
        (ReportOptions(per_image=tmp_path / "captions.jsonl"), SourceOptions()),
        (ReportOptions(), SourceOptions(predictions_out=tmp_path / "captions.jsonl", overwrite=True)),
    ):
        with pytest.raises(UsageError, match=r"captions\.jsonl would replace a file that is read"):
            reports.check(source, ScoringOptions(), tmp_path)
    ReportOptions(output=tmp_path / "new.json").check(SourceOptions(), ScoringOptions(), tmp_path)
    (tmp_path / "rows.jsonl").touch()
    going_on = SourceOptions(predictions_out=tmp_path / "rows.jsonl", resume=True)
    ReportOptions().check(going_on, ScoringOptions(), tmp_path)
    with pytest.raises(UsageError, match=r"--predictions-out and -o both name .*rows\.jsonl"):
        ReportOptions(output=tmp_path / "rows.jsonl").check(going_on, ScoringOptions(), tmp_path / "data")


@pytest.mark.parametrize("name", ["output", "per_image", "html"])
def test_a_report_that_is_there_is_replaced_where_that_is_asked_for(tmp_path: Path, name: str) -> None:
    (tmp_path / "r").write_text("precious")
    reports, data = ReportOptions(**{name: tmp_path / "r"}), tmp_path / "data"
    with pytest.raises(UsageError, match=r"r exists; --overwrite replaces it"):
        reports.check(SourceOptions(), ScoringOptions(), data)
    reports.check(SourceOptions(overwrite=True), ScoringOptions(), data)
    reports.check(SourceOptions(predictions_out=tmp_path / "rows.jsonl", resume=True), ScoringOptions(), data)


def test_a_report_may_go_to_a_device() -> None:
    ReportOptions(output=Path("/dev/null")).check(SourceOptions(), ScoringOptions(), Path("data"))
