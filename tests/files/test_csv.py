from __future__ import annotations

import csv
import io
import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capcli.files.csv import encode_record

cells = st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=2, max_size=5)


@given(cells, st.booleans())
def test_every_text_comes_back(texts: list[str], quoted: bool) -> None:
    line = encode_record(texts, quote_texts=quoted)
    assert list(csv.reader(io.StringIO(line.decode(), newline=""), strict=True)) == [texts]
    assert line.endswith(b"\n") and not line.endswith(b"\r\n")


def test_only_what_needs_quotation_marks_has_them() -> None:
    assert encode_record(["a b", "a,b", 'a"b', "a\rb", "a\nb", 0.5, None]) == (b'a b,"a,b","a""b","a\rb","a\nb",0.5,\n')


def test_all_texts_can_have_them_and_numbers_stand_bare() -> None:
    assert encode_record(["a", 1, 0.5, ""], quote_texts=True) == b'"a",1,0.5,""\n'


@pytest.mark.skipif(sys.platform != "linux", reason="names there are bytes")
def test_a_name_keeps_its_bytes() -> None:
    assert encode_record([os.fsdecode(b"caf\xe9.jpg"), "犬"]) == b"caf\xe9.jpg,\xe7\x8a\xac\n"


@pytest.mark.skipif(sys.platform == "win32", reason="halves are parts of names there")
def test_half_a_character_of_a_caption_is_marked() -> None:
    assert encode_record(["a \ud83d dog"]).decode() == "a \ufffd dog\n"
