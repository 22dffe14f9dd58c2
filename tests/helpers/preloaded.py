"""Python programs in processes that need not import first, which takes most of a short run's time.

A server imports what is slow and forks for every program: that runs in a process of its own in all that a test may see.
What is tested of a program's own start, and of what its parent does to it, is tested with `subprocess`.

As a program, this file is the server; `preloaded_client.py` asks it in the place of `python -c`.
"""

from __future__ import annotations

import atexit
import contextlib
import marshal
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

import preloaded_client

COMMAND = "from capcli.__main__ import main\nmain()"
"""The installed command, as its script has it."""

# None of these, nor the command, reads the environment of a run while it is imported, but for variables of which the
# fixture `environment` has none.
COMMAND_MODULES = (
    "capcli.__main__", "capcli.cli", "capcli.keywords.chooser", "capcli.library.keeping", "capcli.pictures.stream",
    "capcli.runs.session", "capcli.runs.writing", "sqlite3", "typer._adapters", "typer.rich_utils",
)  # fmt: skip
"""What runs of the command import."""

TORCH_MODULES = (
    *COMMAND_MODULES, "capcli.captioner", "capcli.engines.onnx_engine", "capcli.engines.torch_engine",
    "capcli.heatmap.drawing", "capcli.heatmap.files", "capcli.training.command",
)  # fmt: skip
"""What those import that compute a model or train one."""


class ForkServer:
    """Runs Python programs by forking; a context manager.

    Args:
        python: the interpreter.
        environment: what the server starts with.
        modules: what is imported beforehand, where it is installed.
    """

    def __init__(self, python: str, environment: Mapping[str, str], modules: Sequence[str]) -> None:
        # Under /tmp, for a socket may have no long path.
        self._folder = tempfile.TemporaryDirectory(prefix="preloaded")
        self.address = str(Path(self._folder.name, "server"))
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.address)
            listener.listen(64)
            self._server = subprocess.Popen(
                [python, __file__, str(listener.fileno()), *modules],
                env=dict(environment),
                stdin=subprocess.PIPE,
                pass_fds=[listener.fileno()],
            )

    def start(
        self,
        program: str,
        arguments: Sequence[str],
        cwd: Path,
        environment: Mapping[str, str],
        *,
        stdin: bytes = b"",
        stdout: IO[bytes] | None = None,
        stderr: IO[bytes] | None = None,
    ) -> ForkedRun:
        """Starts a program, whose `sys.argv` are the arguments; stdout and stderr are kept unless they go to a file."""
        run = ForkedRun(stdin, stdout, stderr)
        run.connection = preloaded_client.ask(
            self.address, (program, [*arguments], str(cwd), dict(environment)), [file.fileno() for file in run.files]
        )
        return run

    def __enter__(self) -> ForkServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # It ends when its stdin does.
        self._server.communicate()
        self._folder.cleanup()


class ForkedRun:
    """A program that runs, with those methods of a `subprocess.Popen` that tests need."""

    connection: socket.socket

    def __init__(self, stdin: bytes, stdout: IO[bytes] | None, stderr: IO[bytes] | None) -> None:
        self._kept: list[IO[bytes]] = [tempfile.TemporaryFile() for _ in range(3)]  # noqa: SIM115 - closed by communicate
        given, out, errors = self._kept
        given.write(stdin)
        given.seek(0)
        self.files = [given, stdout or out, stderr or errors]
        self.returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, negative for a signal; raises TimeoutExpired."""
        if self.returncode is None:
            self.connection.settimeout(timeout)
            try:
                self.returncode = preloaded_client.ended(self.connection)
            except TimeoutError:
                raise subprocess.TimeoutExpired("a preloaded program", timeout or 0) from None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Sends it a signal, unless it has ended."""
        with contextlib.suppress(OSError):
            self.connection.sendall(bytes([number]))

    def kill(self) -> None:
        """Kills it, unless it has ended."""
        # The server kills what nobody listens to any more, and tells how that ended.
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)

    def communicate(self) -> tuple[bytes, bytes]:
        """What it wrote, to its end."""
        self.wait()
        self.connection.close()
        for file in self._kept:
            file.seek(0)
        _, out, errors = (file.read() for file in self._kept)
        for file in self._kept:
            file.close()
        return out, errors


def _serve(listener: socket.socket, modules: Sequence[str]) -> None:
    for module in modules:
        with contextlib.suppress(ImportError):
            __import__(module)
    woken, waking = socket.socketpair()
    waking.setblocking(False)
    signal.set_wakeup_fd(waking.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    running: dict[int, socket.socket] = {}
    with selectors.DefaultSelector() as selector:
        for source in (listener, woken, sys.stdin):
            selector.register(source, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is sys.stdin:
                    return
                if key.fileobj is listener:
                    connection, _ = listener.accept()
                    pid = _fork(connection)
                    if pid is None:
                        connection.close()
                    else:
                        running[pid] = connection
                        selector.register(connection, selectors.EVENT_READ, pid)
                elif key.fileobj is woken:
                    woken.recv(4096)
                elif (asker := running.get(key.data)) is key.fileobj and asker is not None:
                    number = _read_signal(asker)
                    if number == signal.SIGKILL:
                        selector.unregister(asker)
                    os.kill(key.data, number)
            _tell_ends(running, selector)


def _read_signal(asker: socket.socket) -> int:
    """The signal that whoever asked for a program sends it; SIGKILL once he is gone."""
    with contextlib.suppress(ConnectionError):
        if sent := asker.recv(1):
            return sent[0]
    return signal.SIGKILL


def _tell_ends(running: dict[int, socket.socket], selector: selectors.BaseSelector) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        connection = running.pop(pid)
        with contextlib.suppress(KeyError):
            selector.unregister(connection)
        with connection, contextlib.suppress(OSError):
            connection.sendall(os.waitstatus_to_exitcode(status).to_bytes(4, "big", signed=True))


def _fork(connection: socket.socket) -> int | None:
    """Forks for what a connection asks; None if whoever asks is killed meanwhile."""
    size, files, _, _ = socket.recv_fds(connection, 8, 3)
    length = int.from_bytes(size, "big")
    request = b""
    while size and len(request) < length:
        part = connection.recv(length - len(request))
        if not part:
            break
        request += part
    whole = len(files) == 3 and len(request) == length
    pid = os.fork() if whole else None
    if pid == 0:
        program, arguments, cwd, environment = marshal.loads(request)
        _become(program, arguments, cwd, environment, files)
    for file in files:
        os.close(file)
    return pid


def _become(program: str, arguments: list[str], cwd: str, environment: dict[str, str], files: Sequence[int]) -> None:
    """Lives and ends as the program does."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.setsid()
        for number, file in enumerate(files):
            os.dup2(file, number)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = arguments
        exec(compile(program, "program", "exec"), {"__name__": "__main__"})
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(code)


if __name__ == "__main__":
    # Modules beside this file are not those of the command.
    sys.path.pop(0)
    with socket.socket(fileno=int(sys.argv[1])) as served:
        _serve(served, sys.argv[2:])
