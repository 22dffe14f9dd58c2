from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from capcli.errors import UsageError
from capcli.evaluation.options import (
    DatasetOptions,
    FaithfulnessOptions,
    ReferenceOptions,
    ReportOptions,
    check_reports,
)

FILE = Path("p.jsonl")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "tset"}, "split must be one of test, dev, train, all, held-out, not 'tset'"),
        ({"predictions_out": Path("x.csv")}, "--predictions-out x.csv holds JSON lines; let its name end in .jsonl"),
        ({"predictions_out": Path("x")}, "--predictions-out x holds JSON lines"),
        ({"resume": True}, "--resume needs --predictions-out FILE"),
        ({"resume_anyway": True}, "--resume needs --predictions-out FILE"),
        ({"resume": True, "overwrite": True, "predictions_out": FILE}, "contradict each other"),
    ],
)
def test_options_that_make_no_sense_together(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        DatasetOptions(**options)
    assert message in str(caught.value)


@pytest.mark.parametrize("options", [ReferenceOptions, FaithfulnessOptions])
def test_only_a_model_has_a_held_out_split(options: Any) -> None:
    with pytest.raises(UsageError, match="split must be one of test, dev, train, all, not 'held-out'"):
        options(split="held-out")
    DatasetOptions(split="held-out")


@pytest.mark.parametrize(
    ("reports", "message"),
    [
        ({"output": "refs.json"}, "-o refs.json would replace a file that is read"),
        ({"html": "./refs.json"}, "--html refs.json would replace a file that is read"),
        ({"output": "train.txt"}, "-o train.txt would replace a file that is read"),
        ({"output": "r", "html": "./r"}, "-o and --html both name r"),
        ({"per_image": "."}, "--per-image . is a folder"),
        ({"html": "no/where.html"}, "its folder does not exist"),
        ({"output": "new.jpg"}, "new.jpg has the name of a picture, and figures would take its place"),
    ],
)
def test_reports_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reports: dict[str, str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ReportOptions(**{name: Path(path) for name, path in reports.items()})
    with pytest.raises(UsageError) as caught:
        check_reports(options.named(), (FILE, Path("refs.json"), Path("train.txt"), None))
    assert message in str(caught.value)


def test_a_photograph_is_never_replaced_by_a_report(tmp_path: Path) -> None:
    picture = tmp_path / "picture"
    Image.new("RGB", (8, 8)).save(picture, "PNG")
    with pytest.raises(UsageError, match="picture holds a picture, and figures would take its place"):
        check_reports(ReportOptions(html=picture).named(), [], replace=True)


def test_a_file_of_the_data_set_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "captions.jsonl").touch()
    for reports, kept in (
        (ReportOptions(per_image=tmp_path / "captions.jsonl"), None),
        (ReportOptions(), tmp_path / "captions.jsonl"),
    ):
        with pytest.raises(UsageError, match=r"captions\.jsonl would replace a file that is read"):
            check_reports(reports.named(), [tmp_path], kept=kept, replace=True)
    check_reports(ReportOptions(output=tmp_path / "new.json").named(), [tmp_path])
    rows = tmp_path / "rows.jsonl"
    rows.touch()
    check_reports([], [tmp_path], kept=rows, goes_on=True)
    with pytest.raises(UsageError, match=r"--predictions-out and -o both name .*rows\.jsonl"):
        check_reports(ReportOptions(output=rows).named(), [tmp_path / "data"], kept=rows, goes_on=True)


@pytest.mark.parametrize("name", ["output", "per_image", "html"])
def test_a_report_that_is_there_is_replaced_where_that_is_asked_for(tmp_path: Path, name: str) -> None:
    (tmp_path / "r").write_text("precious")
    reports, data = ReportOptions(**{name: tmp_path / "r"}), tmp_path / "data"
    with pytest.raises(UsageError, match=r"r exists; --overwrite replaces it"):
        check_reports(reports.named(), [data])
    check_reports(reports.named(), [data], replace=True)
    check_reports(reports.named(), [data], kept=tmp_path / "rows.jsonl", goes_on=True)


def test_a_report_may_go_to_a_device() -> None:
    check_reports(ReportOptions(output=Path("/dev/null")).named(), [Path("data")])
