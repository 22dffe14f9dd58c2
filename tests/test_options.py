"""The checker of all settings, on an options class that has a field of every kind."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from capcli.errors import UsageError
from capcli.options import build, check, check_choice, near_names, option


@dataclass(frozen=True)
class Size:
    width: int = option(3, "Width.", least=1)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Settings:
    count: int = option(1, "How many.", least=1, most=9)
    share: float = option(0.5, "A share.", least=0.0, below=1.0)
    rate: float = option(0.1, "A rate.", above=0.0)
    ratio: float = option(0.1, "A ratio.", above=0.0, most=1.0)
    gain: float = option(0.5, "A gain.", above=0.0, below=1.0)
    depth: int = option(0, "A depth.", most=4)
    anything: float = option(0.0, "Any number.")
    kind: str = option("one", "Which kind.", choices=("one", "other"))
    text: str | None = option(None, "Any text, or none.")
    wide: bool = option(False, "Whether it is wide.")
    names: tuple[str, ...] = option((), "Names.")
    three: tuple[float, float, float] = option((1.0, 1.0, 1.0), "Three numbers.", above=0.0)
    as_: str = option("plain", "How.")
    path: Path | None = option(None, "Where.")
    table: dict[str, Any] = field(default_factory=dict)
    size: Size = field(default_factory=Size)

    def __post_init__(self) -> None:
        check(self)


def test_values_that_fit_are_taken_and_turned_into_what_fields_hold() -> None:
    values = {
        "count": 9, "share": 0, "rate": 1, "depth": -3, "anything": -(10**6), "kind": "other", "text": "a",
        "wide": True, "names": ["a", "b"], "three": [1, 2.5, 3], "path": Path("a"), "table": {"a": 1},
        "size": {"width": 7},
    }  # fmt: skip
    built = build(Settings, values)
    assert (built.count, built.share, built.names, built.three) == (9, 0.0, ("a", "b"), (1.0, 2.5, 3.0))
    assert all(isinstance(number, float) for number in (built.share, built.rate, built.anything, *built.three))
    assert built.size == Size(7)
    assert build(Settings, dataclasses.asdict(built)) == built
    assert build(Settings, {}) == Settings()


def test_numbers_of_numpy_are_numbers() -> None:
    assert Settings(count=np.int64(3), share=np.float32(0.5)).count == 3  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"count": 0}, "count must be a whole number from 1 to 9, not 0"),
        ({"count": 10}, "count must be a whole number from 1 to 9, not 10"),
        ({"count": 2.0}, "count must be a whole number from 1 to 9, not 2.0"),
        ({"count": True}, "count must be a whole number from 1 to 9, not True"),
        ({"count": None}, "count must be a whole number from 1 to 9, not None"),
        ({"share": 1.0}, "share must be a number from 0 to below 1, not 1.0"),
        ({"share": "half"}, "share must be a number from 0 to below 1, not 'half'"),
        ({"share": float("nan")}, "share must be a number from 0 to below 1, not nan"),
        ({"anything": float("nan")}, "anything must be a number, not nan"),
        ({"anything": float("-inf")}, r"anything is beyond 1e\+100, larger than any number of use"),
        ({"rate": 0.0}, "rate must be a number above 0, not 0.0"),
        ({"rate": 10**400}, r"rate is beyond 1e\+100, larger than any number of use"),
        ({"ratio": 0}, "ratio must be a number above 0 and at most 1, not 0.0"),
        ({"gain": 1}, "gain must be a number above 0 and below 1, not 1.0"),
        ({"depth": 5}, "depth must be a whole number of at most 4, not 5"),
        ({"depth": 10**5000}, r"depth is beyond 9.22e\+18, larger than any number of use"),
        ({"count": "9" * 5000}, r"count must be a whole number from 1 to 9, not '9{76}\.\.\."),
        ({"kind": "othr"}, r"kind must be one of one, other, not 'othr'; did you mean other\?"),
        ({"kind": 3}, "kind must be one of one, other, not 3"),
        ({"kind": None}, "kind must be one of one, other, not None"),
        ({"text": 3}, "text must be text, not 3"),
        ({"wide": 1}, "wide must be true or false, not 1"),
        ({"names": "ab"}, "names must be a list of names, not 'ab'"),
        ({"names": ["a", 3]}, "each of names must be text, not 3"),
        ({"three": [1.0]}, r"three must be a list of 3 numbers, not \(1.0,\)"),
        ({"three": [1.0, 0.0, 1.0]}, "each of three must be a number above 0, not 0.0"),
        ({"as_": 1}, "as must be text, not 1"),
        ({"path": 3}, "path must be a path, not 3"),
        ({"table": []}, r"table must be a table, not \(\)"),
        ({"size": 3}, r"\[size\] must be a table, not 3"),
        ({"size": {"width": 0}}, r"\[size\]: width must be a whole number of at least 1, not 0"),
        ({"size": {"widht": 0}}, r"\[size\] has no option 'widht'; near it: width"),
        ({"shaer": 0.5}, "no option is called 'shaer'; near it: share"),
        ({3: 0.5}, "no option is called 3; near it: count, share, rate, .*"),
    ],
)
def test_values_that_do_not_fit_are_refused_in_one_line(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"^{message}$") as caught:
        build(Settings, values)
    assert len(str(caught.value)) < 250
    if "size" not in values:
        with pytest.raises(UsageError) as placed:
            build(Settings, values, "[table]")
        assert str(placed.value).startswith(("[table]: ", "[table] has no option "))


def test_an_object_that_is_made_directly_is_checked_too() -> None:
    with pytest.raises(UsageError, match=r"^count must be a whole number from 1 to 9, not 0$"):
        Settings(count=0)
    with pytest.raises(UsageError, match=r"^size must be a table, not 3$"):
        Settings(size=3)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"^count must be"):
        dataclasses.replace(Settings(), count=0)


def test_near_names_are_the_likeliest_first() -> None:
    known = ["learning_rate", "final_learning_rate", "warmup"]
    assert near_names("learning_rat", known) == known[:2]
    assert near_names("learning_rat", known, 1) == known[:1]
    assert near_names(3, known) == []


def test_no_value_is_none_of_the_known_ones() -> None:
    check_choice("kind", None, ["a", "b"])
    check_choice("kind", "a", ["a", "b"])
    with pytest.raises(UsageError, match=r"^kind must be one of a, b, not 'c'$"):
        check_choice("kind", "c", ["a", "b"])
