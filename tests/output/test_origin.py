"""What makes results, read from the model's files."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from capcli.errors import ModelError
from capcli.model.options import ModelOptions
from capcli.modelfile.checkpoint import Checkpoint
from capcli.output.origin import Origin, read_origin


def test_the_origin_of_a_run_is_read_from_the_header(tiny_file: Path, tmp_path: Path) -> None:
    origin = read_origin(ModelOptions(model=str(tiny_file)), {"max_length": 5})
    assert origin.model.name == "tiny"
    assert (origin.options["beam_size"], origin.options["max_length"]) == (2, 5)
    assert "seed" not in origin.options
    assert read_origin(ModelOptions(model=str(tiny_file)), {"sample": True, "seed": 3}).options["seed"] == 3
    assert Origin.from_json(json.loads(json.dumps(origin.to_json()))) == origin
    moved = shutil.copy(tiny_file, tmp_path / "moved.safetensors")
    assert origin.difference(read_origin(ModelOptions(model=moved), {"max_length": 5})) is None


def test_the_origin_is_what_the_captioner_does(
    tiny_file: Path, tiny_language: Callable[..., Checkpoint], tmp_path: Path
) -> None:
    from capcli.captioner import Captioner

    tiny_language(("a", "dog")).save(tmp_path / "lm.safetensors")
    place = ModelOptions(model=str(tiny_file), lm=str(tmp_path / "lm.safetensors"))
    captioner = Captioner.load(place.model, "cpu", place.lm)
    options = dataclasses.asdict(captioner.options.replace(lm_weight=0.5))
    del options["seed"]
    origin = read_origin(place, {"lm_weight": 0.5})
    assert origin.options == options
    assert origin.language_model is not None and origin.language_model.name == "lm"


def test_a_file_that_is_no_model_has_no_origin(tmp_path: Path) -> None:
    (tmp_path / "m.safetensors").write_bytes(b"weights")
    with pytest.raises(ModelError, match="not a whole safetensors file"):
        read_origin(ModelOptions(model=str(tmp_path / "m.safetensors")), {})
