"""Results and names that tests write to every format."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import strategies as st

from capcli.keywords.keyword import Keyword
from capcli.output import Result

CAPTIONED = Result(Path("a.jpg"), ("A dog runs.", "A dog."), (0.5, 0.25), "base")
UNCERTAIN = Result(
    Path("b.jpg"), ('A, "cat".',), (0.125,), "base", uncertain=True, words=(("a", -0.5, None), ("cat", -1.5, 0.25))
)
TAGGED = Result(
    Path("d.jpg"),
    ("A dog.",),
    (0.5,),
    "base",
    keywords=(Keyword("dog", 0.912345, ("animals", "dog"), ("animals",)), Keyword("sea", 0.5, ("sea",))),
)
FAILED = Result(Path("c.jpg"), error="is empty (0 bytes)")

# Everything a POSIX name may hold: no slash and no null byte; undecodable bytes are lone surrogates in Python.
NAMES = st.text(
    st.one_of(
        st.sampled_from("ab .,;\"'\\\t\n\r\x1b\x85{}[]"),
        st.characters(exclude_categories=["Cs"], exclude_characters="/\0"),
        st.integers(0x80, 0xFF).map(lambda byte: bytes([byte]).decode("utf-8", "surrogateescape")),
    ),
    min_size=1,
    max_size=12,
).filter(lambda name: name not in (".", "..") and os.fsdecode(os.fsencode(name)) == name)
