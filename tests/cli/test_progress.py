"""The progress bar on a terminal."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from contextlib import redirect_stderr
from threading import Event

import pytest

from capcli.cli.progress import Bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def able(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")


def test_an_unknown_number_is_shown_as_unknown_until_it_is_counted() -> None:
    begun = Event()

    def things() -> Iterator[int]:
        begun.wait(10)
        yield from range(3)

    with redirect_stderr(Terminal()) as terminal, Bar(things()) as bar:
        with bar.lifted(1):
            pass
        assert "1/?" in terminal.getvalue()
        begun.set()
        for _ in range(200):
            with bar.lifted(0):
                time.sleep(0.005)
            if "1/3" in terminal.getvalue():
                return
    raise AssertionError(terminal.getvalue()[-200:])


def test_counting_ends_with_the_bar() -> None:
    ended = Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                time.sleep(0.001)
                yield 0
        finally:
            ended.set()

    with redirect_stderr(Terminal()), Bar(endless()):
        assert not ended.wait(0.01)
    assert ended.wait(10)


def test_one_thing_has_no_bar() -> None:
    with redirect_stderr(Terminal()) as terminal, Bar(1) as bar, bar.lifted(1):
        pass
    assert terminal.getvalue() == ""
