"""How fast this machine captions: what is measured, and what is told of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from capcli.errors import CapcliError, UsageError
from capcli.speed.bench import Bench, Round, Spread
from capcli.speed.machine import instruction_sets
from capcli.speed.made_pictures import write_pictures
from capcli.speed.options import BenchOptions
from capcli.speed.table import print_bench
from capcli.speed.turns import encoder_of, time_command

MACHINE: dict[str, object] = {
    "processor": "Some CPU",
    "cores": 2,
    "system": "Linux x86_64",
    "instructions": ["avx2"],
    "versions": {"python": "3.11.7", "capcli": "1"},
}
MODEL: dict[str, object] = {
    "name": "tiny", "sha256": "ab" * 32, "revision": None, "batch_size": 4, "engine": "onnx", "device": "cpu",
    "beam_size": 3,
}  # fmt: skip


def bench_of(*rounds: Round, encoder: str = "mobilenet_v3_small") -> Bench:
    return Bench(MACHINE, MODEL, encoder, "4 made pictures", rounds, ())


def test_a_ratio_is_taken_within_each_round() -> None:
    bench = bench_of(Round(20, 1.0, 10, 4e8), Round(10, 2.0, 4, 5e8), Round(30, 1.5, 10, 6e8))
    assert bench.figures["times_the_encoder"] == Spread(2.5, 2, 3)
    assert bench.figures["images_per_second"] == Spread(20, 10, 30)
    figures = bench.to_json()
    assert figures["first_caption_seconds"] == {"median": 1.5, "least": 1.0, "most": 2.0}
    assert figures["peak_memory_bytes"] == {"median": 5e8, "least": 4e8, "most": 6e8}


def test_what_cannot_be_measured_is_left_out_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    bench = bench_of(Round(20, 1.0, None, None), encoder="torch is not installed")
    assert set(bench.figures) == {"images_per_second", "first_caption_seconds"}
    print_bench(bench)
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split("  ")[0] == "encoder alone" and "torch is not installed" in line for line in lines)
    assert not any("over the encoder" in line or "memory" in line for line in lines)
    assert lines[-1] == "of one round"


def test_instruction_sets_are_told_in_the_words_of_people(tmp_path: Path) -> None:
    intel, arm = tmp_path / "intel", tmp_path / "arm"
    intel.write_text("processor : 0\nflags\t\t: fpu avx avx2 avx512_bf16\n")
    arm.write_text("processor : 0\nFeatures\t: fp asimd asimddp bf16\n")
    assert instruction_sets(intel) == ["avx2", "avx512_bf16"]
    assert instruction_sets(arm) == ["neon", "dot product", "bf16"]
    assert instruction_sets(tmp_path / "windows") is None


def test_the_encoder_of_a_model_is_read_from_its_file(tiny_checkpoint: Any, tmp_path: Path) -> None:
    tiny_checkpoint("transformer").save(tmp_path / "tiny.safetensors")
    assert encoder_of(str(tmp_path / "tiny.safetensors")) == ("mobilenet_v3_small", 64)
    assert encoder_of("hf:some/model") is None


def test_a_command_that_fails_says_why() -> None:
    with pytest.raises(CapcliError, match=r"^it is broken$"):
        time_command(["sh", "-c", "echo first >&2; echo 'capcli: error: it is broken' >&2; exit 3"])
    with pytest.raises(UsageError, match="no such device"):
        time_command(["sh", "-c", "echo 'capcli: error: no such device' >&2; exit 2"])
    printed, seconds = time_command(["cat"], b"abc")
    assert (printed, seconds > 0) == (b"abc", True)


def test_options_have_a_range() -> None:
    for chosen in ({"rounds": 0}, {"count": 0}, {"rounds": 101}):
        with pytest.raises(UsageError, match="must be"):
            BenchOptions(**chosen)  # type: ignore[arg-type]


def test_made_pictures_are_written_as_jpegs(tmp_path: Path) -> None:
    write_pictures(tmp_path, 3)
    sizes = [Image.open(file).size for file in sorted(tmp_path.glob("*.jpg"))]
    assert sizes == [(640, 480)] * 3
