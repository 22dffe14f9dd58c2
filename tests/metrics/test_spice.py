from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from capcli.errors import CapcliError
from capcli.metrics.java import Unavailable
from capcli.metrics.spice import spice_statistics

REFERENCES = [[["a", "dog"]], [["a", "cat"], ["a", "pet"]]]
HYPOTHESES = [["a", "dog"], ["a", "bird"]]
SCORES = '[{"image_id": 1, "scores": {"All": {"f": 0.25}}}, {"image_id": 0, "scores": {"All": {"f": 1.0}}}]'

StandIn = Callable[[str], Path]


def install_parser(jars: Path) -> None:
    (jars / "spice" / "lib").mkdir()
    for name in ("stanford-corenlp-3.6.0.jar", "stanford-corenlp-3.6.0-models.jar"):
        (jars / "spice" / "lib" / name).touch()


def test_scores_are_matched_to_images(java_stand_in: StandIn, tmp_path: Path) -> None:
    # The arguments are: memory, -jar, the jar, the captions, -out and the scores.
    install_parser(java_stand_in(f"cp \"$4\" '{tmp_path / 'captions.json'}'; echo '{SCORES}' > \"$6\""))
    np.testing.assert_array_equal(spice_statistics(REFERENCES, HYPOTHESES).per_image()["SPICE"], [1.0, 0.25])
    assert '"test": "a bird", "refs": ["a cat", "a pet"]' in (tmp_path / "captions.json").read_text()


def test_nothing_is_downloaded(java_stand_in: StandIn) -> None:
    java_stand_in("")
    with pytest.raises(Unavailable, match=r"^needs Stanford CoreNLP 3\.6\.0"):
        spice_statistics(REFERENCES, HYPOTHESES)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'Exception: heap space' >&2; exit 1", "Exception: heap space"),
        ("exit 4", "exit code 4"),
        ("exit 0", "No such file"),
        ('echo "[" > "$6"', "can not be read"),
        ('echo "[]" > "$6"', "can not be read"),
    ],
)
def test_failure_is_one_line(java_stand_in: StandIn, script: str, reason: str) -> None:
    install_parser(java_stand_in(script))
    with pytest.raises(CapcliError, match=rf"^SPICE failed \(.*{reason}.*\); without --spice it is left out$"):
        spice_statistics(REFERENCES, HYPOTHESES)


def test_without_java(no_java: None) -> None:
    with pytest.raises(Unavailable, match=r"^needs capcli\[java\]$"):
        spice_statistics(REFERENCES, HYPOTHESES)


def test_impossible_input() -> None:
    with pytest.raises(ValueError):
        spice_statistics([[]], [["a"]])
