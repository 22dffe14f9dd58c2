from __future__ import annotations

import pytest

from capcli.words.singular import known_form

KNOWN = {
    *("dog", "bus", "leaf", "knife", "glass", "berry", "woman"),
    *("person", "horse", "hot dog", "jeans", "dress", "shoe"),
}


@pytest.mark.parametrize(
    ("noun", "form"),
    [
        *[("dogs", "dog"), ("buses", "bus"), ("bus", "bus"), ("leaves", "leaf"), ("knives", "knife")],
        *[("glasses", "glass"), ("glass", "glass"), ("berries", "berry"), ("women", "woman"), ("people", "person")],
        *[("horses", "horse"), ("hot dogs", "hot dog"), ("jeans", "jeans"), ("dresses", "dress"), ("shoes", "shoe")],
        *[("cats", None), ("s", None), ("", None)],
    ],
)
def test_a_plural_is_known_by_its_singular(noun: str, form: str | None) -> None:
    assert known_form(noun, KNOWN) == form
