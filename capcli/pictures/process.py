"""A worker process as its parent has it: started, asked, ended and replaced."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from capcli.errors import CapcliError, system_reason
from capcli.pictures.worker import Kind, receive, send

_STARTS = 3
_LOADING_PATIENCE = 120.0
_PROGRAM = "import sys; sys.path[:] = sys.argv[1:]; from {module} import main; main()"


class Crash(Exception):  # noqa: N818 - what happened to a process, and `str` says how
    """A process ended without an answer."""


class TooSlow(Exception):  # noqa: N818
    """A process gave no answer in time and was ended."""


class ReadingProcess:
    """A process that reads one picture at a time; once it has ended, the next read starts another.

    One thread at a time may read; the other methods may be called from any thread.

    Args:
        command: its program, which speaks as `capcli.pictures.worker` does.
        patience: seconds that a picture may take.
        large: entered while it decodes a picture of more than LARGE_PIXELS: the lock of those that take turns.
    """

    def __init__(self, command: Sequence[str], patience: float, large: AbstractContextManager[object]) -> None:
        self._command = command
        self._patience = patience
        self._large = large
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = False
        self._closed = False
        self._patience_left = math.inf
        self._lock = threading.Lock()

    @property
    def pid(self) -> int | None:
        """Its id, or None when there is no living process."""
        process = self._process
        return process.pid if process and process.poll() is None else None

    def start(self) -> None:
        """Start the process; it loads while the caller goes on.

        Raises:
            CapcliError: when the system refuses.
            CancelledError: after `close`.
        """
        with self._lock:
            if self._closed:
                raise CancelledError
            self._process = _spawn(self._command)

    def read(self, wanted: bytes) -> tuple[Kind, bytes]:
        """Send the content of a READ message and wait for the answer, which is PIXELS, REASON or TOO_LARGE.

        Raises:
            Crash: when the process ended instead.
            TooSlow: when it had to be ended.
            CapcliError: when no process starts.
            CancelledError: after `close`.
        """
        self._make_ready()
        answer = self._ask(self._patience, Kind.READ, wanted)
        if answer[0] is Kind.TURN:
            with self._large:
                answer = self._ask(self._patience, Kind.TURN)
        return answer

    def tick(self, seconds: float) -> None:
        """Let that much of the patience pass; when none is left, end the process.

        Not left to a clock: while this program is stopped, by Ctrl-Z or a sleeping machine, it hears no answers.
        """
        with self._lock:
            self._patience_left -= seconds
            if self._patience_left < 0 and self._process:
                self._process.kill()

    def close(self) -> None:
        """End the process and let no other start; `reap` follows when no thread reads any more."""
        with self._lock:
            self._closed = True
            if process := self._process:
                process.kill()

    def reap(self) -> None:
        """End the process, if there is one, and give back what it holds."""
        process, self._process, self._ready = self._process, None, False
        if process:
            process.kill()
            with suppress(OSError), process:  # it may not have taken the last word
                pass

    def _make_ready(self) -> None:
        if self.pid is None:
            self.reap()
        failures = 0
        while not self._ready:
            if self._process is None:
                self.start()
            try:
                self._ask(_LOADING_PATIENCE)
                self._ready = True
            except (Crash, TooSlow) as error:
                failures += 1
                if failures == _STARTS:
                    raise CapcliError(
                        f"the processes that read pictures do not start ({error}); "
                        "python -c 'import capcli.pictures.worker' may say why"
                    ) from None

    def _ask(self, patience: float, kind: Kind | None = None, content: bytes = b"") -> tuple[Kind, bytes]:
        process = self._process
        assert process and process.stdin and process.stdout
        with self._lock:
            self._patience_left = patience
        answer = None
        with suppress(EOFError, OSError, ValueError):
            if kind:
                send(process.stdin, kind, content)
            answer = receive(process.stdout)
        with self._lock:
            late = self._patience_left < 0
            self._patience_left = math.inf
        if answer and not late:
            return answer
        self.reap()
        if self._closed:
            raise CancelledError
        if late:
            raise TooSlow(f"no answer in {patience:g} s")
        code = process.returncode
        raise Crash(f"signal {-code}" if code < 0 else f"exit code {code}")


def worker_command(module: str = "capcli.pictures.worker") -> list[str]:
    """The command that runs a module of this very package that speaks as `capcli.pictures.worker` does.

    Raises:
        CapcliError: when there is no Python to run it.
    """
    if not sys.executable or getattr(sys, "frozen", False):
        raise CapcliError(
            "pictures are read by processes of their own, and no Python is known to run them (sys.executable); "
            "run capcli with an installed Python"
        )
    # The module path goes along, because the worker's own would depend on folder, environment and options. Relative
    # entries do not: they may lead elsewhere by now.
    home = str(Path(__file__).parents[2])
    places = [entry for entry in sys.path if Path(entry).is_absolute()]
    options = ["-E"] if sys.flags.ignore_environment else []
    return [
        sys.executable,
        *options,
        "-c",
        _PROGRAM.format(module=module),
        *([] if home in places else [home]),
        *places,
    ]


def _spawn(command: Sequence[str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # NumPy's threads would only take time to start: a third of what a worker takes to load.
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            # Out of reach of the terminal, whose Ctrl-C would otherwise end a worker that is still loading.
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except OSError as error:
        reason = system_reason(error)
        raise CapcliError(f"cannot start a process to read pictures ({reason}): {command[0]}") from None
