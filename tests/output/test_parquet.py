"""Results in a folder of Parquet files."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pyarrow.dataset
import pyarrow.parquet
import pytest

from capcli.datasets.records import read_records
from capcli.errors import DatasetError, UsageError
from capcli.evaluation.predictions import read_predictions
from capcli.keywords.keyword import Keyword
from capcli.output import Result
from capcli.output.merging import Shards
from capcli.output.options import OutputOptions
from capcli.output.outputs import Outputs
from capcli.output.parquet_merging import merge_folders, read_folder_origins
from capcli.output.shard import Shard, Share

OUT = Path("rows.parquet")
PICTURES = [Path(f"{number}.jpg") for number in range(23)]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def result_of(picture: Path) -> Result:
    if picture.stem.endswith("3"):
        return Result(picture, error="is empty (0 bytes)")
    keywords = (Keyword("dog", 0.75, ("animals", "dog")), Keyword("grass", 0.5))
    words = (("a", -0.5, None), ("dog", -0.25, 0.125))
    return Result(
        picture, (f"Dog {picture.stem}.", "A dog."), (0.5, 0.25), "base", picture.stem == "2", words, keywords
    )


def run(
    *pictures: Path,
    whole: bool = True,
    share: Share | None = None,
    path: Path = OUT,
    part_rows: int = 5,
    **options: Any,
) -> list[Path]:
    """Writes results of the pictures that a run has to do; returns these."""
    shard = None if share is None else share.shard
    chosen = OutputOptions(output=path, part_rows=part_rows, **options)
    with Outputs(chosen, io.BytesIO(), Path(), shard=shard) as outputs:
        outputs.survey(pictures)
        todo = [picture for picture in pictures if not outputs.settled(picture)]
        for picture in todo:
            outputs.write(result_of(picture))
        if whole:
            outputs.kept[0].complete()
    return todo


def content(path: Path = OUT) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir()}


def test_rows_are_those_of_every_other_format() -> None:
    run(*PICTURES)
    rows = [row.fields for row in read_records(OUT)]
    expected = [json.loads(json.dumps(result_of(picture).row())) for picture in PICTURES]
    plain = [{"uncertain": False} | row for row in expected]
    assert [{"uncertain": False} | dict(row) for row in rows] == plain
    assert [file.name for file in sorted(OUT.iterdir())] == [
        "_SUCCESS", "_manifest.json", *(f"part-0000{number}.parquet" for number in range(5))
    ]  # fmt: skip
    assert json.loads((OUT / "_manifest.json").read_text()) == {"origins": [], "pictures": 23, "failed": 2}


def test_rows_of_a_library_have_their_version_and_where_they_were_copied_from() -> None:
    results = [
        Result(PICTURES[0], ("A dog.",), (0.5,), "base", status="accepted", version=2),
        Result(PICTURES[1], ("A dog.",), (0.5,), "base", version=0, copied_from=PICTURES[0]),
        Result(PICTURES[2], error="is empty (0 bytes)", version=0),
    ]
    with Outputs(OutputOptions(output=OUT), io.BytesIO(), Path(), review=True) as outputs:
        for result in results:
            outputs.write(result)
        outputs.kept[0].complete()
    table = pyarrow.dataset.dataset(OUT).to_table(["status", "version", "copied_from"])
    assert table.to_pydict() == {
        "status": ["accepted", None, None],
        "version": [2, 0, 0],
        "copied_from": [None, "0.jpg", None],
    }


def test_others_read_the_folder_as_one_table() -> None:
    run(*PICTURES)
    table = pyarrow.dataset.dataset(OUT).to_table()
    assert table["path"].to_pylist() == [str(picture) for picture in PICTURES]
    assert table.filter(pyarrow.dataset.field("confidence") > 0.4).num_rows == 21
    assert [prediction.error for prediction in read_predictions(OUT)].count("is empty (0 bytes)") == 2


@pytest.mark.parametrize("stop", range(0, 23, 2))
def test_a_run_that_was_ended_and_resumed_makes_the_same_files(stop: int) -> None:
    run(*PICTURES, path=Path("whole.parquet"))
    run(*PICTURES[:stop], whole=False)
    if stop:
        with pytest.raises(DatasetError, match="has not come to its end"):
            (OUT / "_manifest.json").write_text('{"origins": []}\n')
            read_records(OUT)
    assert run(*PICTURES, resume=True) == PICTURES[stop:]
    assert content() == content(Path("whole.parquet"))
    assert run(*PICTURES, resume=True) == []
    assert content() == content(Path("whole.parquet"))


def test_a_row_is_there_once_even_if_the_run_ended_between_a_part_and_the_open_rows() -> None:
    run(*PICTURES[:14], whole=False)
    opened = (OUT / "_open.jsonl").read_bytes()
    run(*PICTURES[:15], whole=False, resume=True)
    (OUT / "_open.jsonl").write_bytes(opened + json.dumps(result_of(PICTURES[14]).row()).encode() + b'\n{"path": "15')
    assert run(*PICTURES, resume=True) == PICTURES[15:]
    assert sorted(str(row.fields["path"]) for row in read_records(OUT)) == sorted(map(str, PICTURES))


@pytest.mark.parametrize("held", [4, 5, 11])
def test_parts_have_their_rows_where_a_run_ended_before_one_was_closed(held: int) -> None:
    run(*PICTURES)
    expected = content()
    for part in OUT.iterdir():
        part.unlink()
    # In parts that are larger these rows are all in the open file.
    run(*PICTURES[:held], whole=False, part_rows=50)
    assert not list(OUT.glob("part-*"))
    assert run(*PICTURES, resume=True) == PICTURES[held:]
    assert content() == expected


def test_failures_that_are_tried_again_have_one_row() -> None:
    run(*PICTURES)
    assert run(*PICTURES, retry_failed=True) == [Path("3.jpg"), Path("13.jpg")]
    paths = [str(row.fields["path"]) for row in read_records(OUT)]
    assert sorted(paths) == sorted(map(str, PICTURES))
    assert paths[-1] == "13.jpg"


def test_rows_stay_until_the_first_new_one_comes() -> None:
    run(*PICTURES)
    before = content()
    run(whole=False, overwrite=True)
    assert content() == before
    run(*PICTURES[:3], overwrite=True)
    assert len(read_records(OUT)) == 3


def test_names_that_are_no_text_are_known_again() -> None:
    odd = Path("a\udcff.jpg")
    run(odd)
    assert [row.fields["path"] for row in read_records(OUT)] == ["a\\udcff.jpg"]
    assert run(odd, resume=True) == []


def test_what_is_there_already_is_not_written_over() -> None:
    run(*PICTURES)
    with pytest.raises(UsageError, match="--resume goes on with it"):
        run(*PICTURES)
    Path("mine").mkdir()
    Path("mine", "letter.txt").touch()
    with pytest.raises(UsageError, match=r"holds other files, such as letter\.txt"):
        run(*PICTURES, path=Path("mine"), overwrite=True)
    Path("file.parquet").touch()
    with pytest.raises(UsageError, match="is a file"):
        run(*PICTURES, path=Path("file.parquet"))
    with pytest.raises(UsageError, match="no such file"):
        run(*PICTURES, path=Path("nowhere", "rows.parquet"))
    (OUT / "part-00001.parquet").write_bytes(b"PAR1")
    with pytest.raises(UsageError, match="is no part of captions"):
        run(*PICTURES, resume=True)


def test_two_runs_do_not_write_one_folder() -> None:
    with Outputs(OutputOptions(output=OUT), io.BytesIO(), Path()), pytest.raises(UsageError, match="another run"):
        run(*PICTURES, resume=True)
    assert not OUT.exists() or run(*PICTURES)


def test_without_pyarrow_a_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r'pip install "capcli\[parquet\]"'):
        run(*PICTURES)
    assert not OUT.exists()


@pytest.mark.parametrize("of", [1, 4, 40])
def test_folders_of_shards_together_are_the_undisturbed_one(of: int) -> None:
    run(*PICTURES, path=Path("whole.parquet"))
    paths = [Path(f"{number}.parquet") for number in range(1, of + 1)]
    for number, path in enumerate(paths, 1):
        share = Share.of(Shard(number, of), PICTURES, Path.cwd())
        run(*share.pictures, share=share, path=path)
        share.ended(set()).write(path)
    merge_folders(Shards.read(paths, read_folder_origins), OUT, 5)
    tables = [pyarrow.dataset.dataset(path).to_table() for path in (OUT, Path("whole.parquet"))]
    assert tables[0] == tables[1]
    assert content().keys() == content(Path("whole.parquet")).keys()
    assert content()["_manifest.json"] == content(Path("whole.parquet"))["_manifest.json"]
    (paths[0] / "_SUCCESS").unlink()
    with pytest.raises(UsageError, match="is not finished"):
        merge_folders(Shards.read(paths, read_folder_origins), Path("more.parquet"), 5)
    assert not Path("more.parquet").exists()
