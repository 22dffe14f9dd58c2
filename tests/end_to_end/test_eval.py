"""`capcli eval` as users run it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from capcli.modelfile.shipped import find_model

if TYPE_CHECKING:
    import subprocess

    Run = Callable[..., "subprocess.CompletedProcess[str]"]
    Imports = Callable[..., "tuple[subprocess.CompletedProcess[str], set[str]]"]

REFERENCES = {
    "astronaut": ["A woman in an orange space suit smiles.", "An astronaut stands in front of a flag."],
    "cat": ["The face of a cat close up.", "A tabby cat looks at the camera."],
    "coffee": ["A cup of coffee and a spoon on a table.", "A red cup on a saucer."],
    "photographer": ["A man with a camera on a tripod.", "A man is taking pictures in a field."],
    "rocket": ["A rocket stands on its launch pad at night.", "A white rocket is ready for launch."],
}


@pytest.fixture(scope="module")
def dataset(examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for name, captions in REFERENCES.items():
        (folder / f"{name}.jpg").write_bytes((examples / f"{name}.jpg").read_bytes())
        rows = [json.dumps({"image": f"{name}.jpg", "caption": caption, "split": "test"}) for caption in captions]
        with (folder / "captions.jsonl").open("a") as file:
            file.write("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def evaluated(capcli: Run, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What the command printed, and the folder of its reports."""
    folder = tmp_path_factory.mktemp("reports")
    done = capcli(
        *("eval", dataset, "--no-java", "--human", "--predictions-out", "rows.jsonl"),
        *("-o", "report.json", "--html", "report.html", "--per-image", "images.csv"),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("capcli: captioned 5, skipped 0, failed 0, ")
    return done.stdout, folder


@pytest.mark.slow
def test_the_shipped_model_is_scored(evaluated: tuple[str, Path], captions: dict[str, str]) -> None:
    table, folder = evaluated
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    assert {Path(row["path"]).stem: row["caption"] for row in rows} == captions
    report = json.loads((folder / "report.json").read_text())
    assert (report["images"], report["references"], report["split"]) == (5, 10, "test")
    assert 0 < report["metrics"]["BLEU-1"] < 1
    assert report["unavailable"].keys() == {"METEOR", "SPICE", "identical"}
    assert report["versions"].keys() >= {"python", "capcli", "numpy", "torch"}
    assert f"BLEU-1      {report['metrics']['BLEU-1']:.3f}" in table
    assert "\x1b" not in table


def test_the_hash_is_that_of_the_model_file(evaluated: tuple[str, Path]) -> None:
    import hashlib

    report = json.loads((evaluated[1] / "report.json").read_text())
    assert report["model"] == {"name": "base", "sha256": hashlib.sha256(find_model("base").read_bytes()).hexdigest()}


def test_kept_captions_score_the_same_without_torch(
    imports: Imports, evaluated: tuple[str, Path], dataset: Path, tmp_path: Path
) -> None:
    table, folder = evaluated
    done, imported = imports(
        *("score", folder / "rows.jsonl", "--references", dataset, "--human", "--no-java"),
        *("-o", tmp_path / "report.json"),
    )
    assert done.returncode == 0
    # The speed is told where captions are made, and no second run repeats it.
    speed = [line for line in table.splitlines(keepends=True) if " images/s captioned on " in line]
    assert len(speed) == 1
    assert done.stdout == table.replace(speed[0], "").replace("base on", "rows.jsonl on")
    assert "numpy" in imported
    assert "torch" not in imported
    expected, read = (json.loads((place / "report.json").read_text()) for place in (folder, tmp_path))
    # The last digit depends on where in memory the sums are taken.
    for name, value in expected["metrics"].items():
        assert read["metrics"][name] == (None if value is None else pytest.approx(value, rel=1e-12)), name
    assert expected["hashes"] == read["hashes"]


@pytest.mark.parametrize("variables", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_one_line_tells_what_is_wrong(capcli: Run, dataset: Path, variables: dict[str, str]) -> None:
    done = capcli("eval", dataset, "--split", "dev", **variables)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        f"capcli: error: {dataset}: has no dev split; its images are in test (5): choose with --split\n"
    )
