from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import forgetting
import numpy as np
import pytest
from forgetting import Thing, choose, compare, find_right, read_things
from PIL import Image

from capcli.errors import DatasetError, UsageError

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "forgetting.py"

Write = Callable[..., Path]
RunScript = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def dataset(tmp_path: Path) -> Write:
    """Writes rows of JSON lines into a folder of a data set."""

    def write(*rows: dict[str, Any]) -> Path:
        (tmp_path / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)))
        return tmp_path

    return write


def thing(name: str, label: str) -> Thing:
    return Thing(Path(name), label, "")


def test_objects_with_a_label_are_read_once_and_scenes_are_not(dataset: Write) -> None:
    owl = {"image": "owl.png", "kind": "object", "label": "owl", "split": "dev"}
    folder = dataset(
        {**owl, "caption": "An owl."},
        {**owl, "caption": "A bird."},
        {"image": "street.png", "kind": "scene", "caption": "A street."},
        {"image": "blank.png", "kind": "object", "label": " ", "caption": "Nothing."},
        {"image": "cup.png", "kind": "object", "label": "cup", "caption": "A cup."},
    )
    (folder / "images").mkdir()
    (folder / "images" / "owl.png").touch()
    expected = [Thing(folder / "images" / "owl.png", "owl", "dev"), Thing(folder / "cup.png", "cup", "")]
    assert read_things(folder) == read_things(folder / "captions.jsonl") == expected


def test_data_without_objects_with_two_labels_or_missing_is_refused(dataset: Write, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"nowhere.captions\.jsonl"):
        read_things(tmp_path / "nowhere")
    with pytest.raises(UsageError, match='has no rows of kind "object" with a label'):
        read_things(dataset({"image": "a.png", "kind": "scene", "caption": "A street."}))
    row = {"image": "a.png", "kind": "object", "caption": "A bird."}
    with pytest.raises(UsageError, match=r"line 2: a\.png has two labels, owl and hawk"):
        read_things(dataset({**row, "label": "owl"}, {**row, "label": "hawk"}))


def test_whole_labels_are_chosen_by_their_names_and_single_pictures_left_out() -> None:
    things = [thing(f"{label}{number}", label) for label in "abcdefgh" for number in range(3)] + [thing("z", "z")]
    everything = choose(things, None)
    assert sorted(item.label for item in everything) == sorted("abcdefgh" * 3)
    some = choose(things, 10)
    assert some == everything[:9]
    assert {item.label for item in choose(things[::-1], 10)} == {item.label for item in some}


def test_a_limit_below_the_first_label_and_labels_of_one_picture_are_refused() -> None:
    with pytest.raises(UsageError, match="no label has two pictures within --limit; raise it"):
        choose([thing("a", "a"), thing("b", "a")], 1)
    with pytest.raises(UsageError, match=r"no label has two pictures$"):
        choose([thing("a", "a"), thing("b", "b")], None)


@pytest.mark.parametrize("rows", [1, 7, 1024])
def test_the_nearest_neighbour_is_that_of_comparing_each_pair(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "ROWS", rows)
    generator = np.random.default_rng(1)
    vectors = generator.normal(size=(40, 5))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = generator.integers(4, size=40).astype(str)
    near = [max((vectors[row] @ vectors[other], other) for other in range(40) if other != row)[1] for row in range(40)]
    expected = [labels[other] == labels[row] for row, other in enumerate(near)]
    assert 0 < sum(expected) < 40
    assert find_right(vectors, labels).tolist() == expected


def test_shares_and_their_ratio_have_paired_intervals() -> None:
    generator = np.random.default_rng(1)
    before = generator.random(1000) < 0.8
    equal = compare(before, before)
    assert equal[0] == equal[1] and equal[2] == "1.000 (1.000 to 1.000)"
    now = before & (generator.random(1000) < 0.9)
    share, started, ratio = compare(now, before)
    assert share.startswith(f"{now.mean():.3f} (") and started.startswith(f"{before.mean():.3f} (")
    found = re.fullmatch(r"(\S+) \((\S+) to (\S+)\)", ratio)
    assert found is not None
    value, low, high = map(float, found.groups())
    assert value == pytest.approx(now.sum() / before.sum(), abs=1e-3)
    # As a share of 1,000 * 0.8 pictures that were right before: within twice 0.0106.
    assert low < value < high and high - low == pytest.approx(4 * 0.0106, rel=0.2)


def test_a_start_that_knows_nothing_has_no_ratio() -> None:
    assert compare(np.array([True, False]), np.array([False, False]))[2] == "-"


@pytest.mark.slow
def test_the_script_compares_models_with_the_weights_that_they_began_from(
    tiny_checkpoint: Callable[..., Any], dataset: Write, tmp_path: Path, run_script: RunScript
) -> None:
    import torch
    from safetensors.torch import save_file
    from torchvision.models import get_model

    torch.manual_seed(0)
    start = tmp_path / "start.safetensors"
    save_file(get_model("mobilenet_v3_small", weights=None).state_dict(), start)
    same, other = tmp_path / "same.safetensors", tmp_path / "other.safetensors"
    tiny_checkpoint().save(other, torch.float32)
    kept = tiny_checkpoint()
    kept.model.encoder.load_pretrained(str(start))
    kept.save(same, torch.float32)
    rows = []
    for number in range(24):
        label = ("red", "green", "blue")[number % 3]
        pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        pixels[..., number % 3] = 255
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        split = "dev" if number < 6 else "train"
        rows.append(
            {"image": f"{number}.png", "caption": "A colour.", "kind": "object", "label": label, "split": split}
        )
    asked = (SCRIPT, dataset(*rows), "--model", same, "--model", other, "--batch-size", 5)

    done = run_script(*asked, "--encoder-weights", f"mobilenet_v3_small={start}")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "24 pictures of 3 labels" in lines
    rows_of = [line for line in lines if line.startswith(f"| {tmp_path}")]
    assert [line.split(" | ")[:2] for line in rows_of] == [
        [f"| {model}", pictures] for model in (same, other) for pictures in ("all, 24", "dev, 6")
    ]
    assert all(line.endswith("| 1.000 (1.000 to 1.000) |") for line in rows_of[:2])
    before = {line.split(" | ")[3] for line in (rows_of[0], rows_of[2])}
    assert len(before) == 1 and not before <= {"0.000 (0.000 to 0.000)"}

    refused = run_script(*asked, "--encoder-weights", f"efficientnet_b4={start}")
    assert refused.returncode == UsageError.exit_code
    assert refused.stderr == (
        "no weights are named for mobilenet_v3_small: --encoder-weights mobilenet_v3_small=FILE\n"
    )
