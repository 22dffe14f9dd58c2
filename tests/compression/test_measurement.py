from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from capcli.compression.measurement import (
    PICTURES,
    Measured,
    find_references,
    measure_models,
    scores_of,
    timed_pictures,
)
from capcli.compression.options import MeasureOptions
from capcli.datasets.dataset import is_held_out
from capcli.errors import DatasetError, UsageError

Save = Callable[..., Path]


@pytest.fixture
def data(tmp_path: Path) -> Callable[..., Path]:
    """A data set of pictures that are one colour each, one for each split named; None is no split."""

    def make(*splits: str | None, name: str = "data") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        rows = []
        for number, split in enumerate(splits):
            Image.new("RGB", (40, 30), (number * 9 % 256, 99, 0)).save(folder / f"{number}.png")
            row = {"image": f"{number}.png", "caption": ("a dog runs", "the ball on the grass")[number % 2]}
            rows.append(json.dumps(row | ({} if split is None else {"split": split})))
        (folder / "captions.jsonl").write_text("\n".join(rows))
        return folder

    return make


@pytest.fixture
def held_out(scored: Save, tmp_path: Path) -> Callable[[str, float], Path]:
    return lambda name, share: scored(tmp_path / f"{name}.safetensors", {}, held_out=share)


def test_dev_pictures_are_scored_where_there_are_any(data: Callable[..., Path], model: Path) -> None:
    references = find_references(MeasureOptions(data=data("train", "dev", "test", "dev")), [model])
    assert references is not None
    assert [item.name for item in references.items] == ["1.png", "3.png"]
    assert find_references(MeasureOptions(), [model]) is None


def test_elsewhere_those_that_all_models_were_not_trained_on(
    data: Callable[..., Path], held_out: Callable[[str, float], Path]
) -> None:
    folder = data(*[None] * 60)
    models = [held_out("most", 0.9), held_out("some", 0.4)]
    references = find_references(MeasureOptions(data=folder), models)
    assert references is not None
    expected = {f"{number}.png" for number in range(60) if is_held_out(Path(f"{number}.png"), 0.4)}
    assert {item.name for item in references.items} == expected
    assert 0 < len(expected) < 60


def test_a_split_may_be_named(data: Callable[..., Path], model: Path) -> None:
    folder = data("train", "dev", "test")
    references = find_references(MeasureOptions(data=folder, split="test"), [model])
    assert references is not None
    assert [item.name for item in references.items] == ["2.png"]


def test_pictures_that_no_training_held_out(data: Callable[..., Path], model: Path) -> None:
    with pytest.raises(UsageError, match=r"no dev split, and no pictures that training held out are known; name a"):
        find_references(MeasureOptions(data=data(None, None)), [model])
    with pytest.raises(UsageError, match="no pictures but test ones; --split test takes them"):
        find_references(MeasureOptions(data=data("test", name="tests")), [model])
    with pytest.raises(UsageError, match="--split says which"):
        MeasureOptions(split="dev")
    with pytest.raises(UsageError, match="did you mean test"):
        MeasureOptions(data=Path(), split="tset")
    with pytest.raises(DatasetError):
        find_references(MeasureOptions(data=Path("absent")), [model])


def test_at_most_so_many_photographs_are_timed(tmp_path: Path) -> None:
    for number in range(PICTURES + 1):
        (tmp_path / f"{number}.png").touch()
    with pytest.raises(UsageError, match=r"no picture to take the time on can be read: .*0\.png: is empty"):
        timed_pictures(tmp_path)
    Image.new("RGB", (9, 9)).save(tmp_path / "5.png")
    found = timed_pictures(tmp_path)
    assert found is not None
    assert len(found) == PICTURES
    assert timed_pictures(None) is None
    with pytest.raises(UsageError, match="no such file or folder"):
        timed_pictures(tmp_path / "absent")


@pytest.fixture
def two(model: Path, scored: Save, tmp_path: Path) -> dict[str, Path]:
    return {"mine": model, "small": scored(tmp_path / "small.safetensors", {}, quantized=True)}


def test_pictures_that_cannot_be_read_are_left_out_and_named(two: dict[str, Path], tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    found = measure_models(two, MeasureOptions(device="cpu"), None, [tmp_path / "bad.png", tmp_path / "good.png"])
    assert (found.timed_on, found.speed.pictures, found.comparisons) == ("1 photograph", 1, ())
    (note,) = found.notes
    assert "bad.png" in note
    with pytest.raises(UsageError, match=r"no picture to take the time on can be read: .*bad\.png"):
        measure_models(two, MeasureOptions(device="cpu"), None, [tmp_path / "bad.png"])


@pytest.mark.slow
def test_every_other_model_is_scored_against_the_first(data: Callable[..., Path], two: dict[str, Path]) -> None:
    folder = data("dev", "dev", "dev")
    (folder / "1.png").write_bytes(b"no picture")
    measuring = MeasureOptions(data=folder, device="cpu", batch_size=2)
    models = {**two, "again": two["mine"]}
    found = measure_models(models, measuring, find_references(measuring, list(models.values())), [folder / "0.png"])
    small, again = found.comparisons
    assert (small.settings["compare"], again.settings["compare"]) == (("mine", "small"), ("mine", "again"))
    assert [pair.reference.name for pair in small.a.pairs] == ["0.png", "2.png"]
    assert found.unreadable == 1
    assert all(difference.value == 0 for difference in again.differences.metrics.values())
    entries = json.loads(json.dumps(found.to_json()))["models"]
    assert ["against_the_first" in entry for entry in entries] == [False, True, True]
    assert entries[1]["against_the_first"]["differences"]["CIDEr-D"]["a"] == small.differences.metrics["CIDEr-D"].a


@pytest.mark.slow
def test_scores_are_those_of_the_second_model(data: Callable[..., Path], two: dict[str, Path]) -> None:
    folder = data("dev", "dev")
    measuring = MeasureOptions(data=folder, device="cpu")
    found: Measured = measure_models(two, measuring, find_references(measuring, list(two.values())), [folder / "0.png"])
    ((name, figures),) = scores_of(found).items()
    assert name == "data dev"
    assert figures["images"] == 2
    assert figures["BLEU-1"] == pytest.approx(found.comparisons[0].differences.metrics["BLEU-1"].b, abs=1e-4)
