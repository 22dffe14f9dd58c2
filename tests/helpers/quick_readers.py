"""Processes that read pictures, forked from one that has imported what they need."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import preloaded_client

MODULES = ("capcli.pictures.worker",)

PATCH = """\
import capcli.pictures.stream
import sys
sys.path.insert(0, {helpers!r})
from quick_readers import quick
sys.path.pop(0)
capcli.pictures.stream.worker_command = quick(capcli.pictures.stream.worker_command, {address!r})
"""


def quick(worker_command: Callable[[], list[str]], address: str) -> Callable[[], list[str]]:
    """What `capcli.pictures.process.worker_command` says, but run by the server of an address."""

    def command() -> list[str]:
        _, *options = worker_command()
        return [sys.executable, "-I", "-S", preloaded_client.__file__, address, *options[options.index("-c") :]]

    return command


def patch(address: str) -> str:
    """Lines in front of a program that has its pictures read by the server of an address."""
    return PATCH.format(helpers=str(Path(__file__).parent), address=address)
