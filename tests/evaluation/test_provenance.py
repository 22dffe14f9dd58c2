from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from capcli.evaluation.provenance import data_hash, machine, versions


@given(st.dictionaries(st.text(), st.lists(st.text())), st.randoms())
def test_the_order_of_images_does_not_change_the_data(captions: dict[str, list[str]], order: random.Random) -> None:
    rows = list(captions.items())
    assert data_hash(order.sample(rows, len(rows))) == data_hash(rows)


def test_the_order_of_captions_does() -> None:
    assert data_hash([("a", ["x", "y"])]) != data_hash([("a", ["y", "x"])])


def test_versions_are_of_what_is_installed() -> None:
    assert versions("capcli", "no-such-package-here").keys() == {"python", "capcli"}


def test_the_machine_has_cores() -> None:
    assert machine()["cores"] >= 1
