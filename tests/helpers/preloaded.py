"""The installed command in processes that need not import torch first, which takes most of a short run's time.

One process imports torch and what else is slow, and forks for every run: the run imports capcli itself and everything
that reads the environment, and is a process of its own in all that a test may see. What is tested of the command's own
start, of signals and of its end is tested with `subprocess`.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

IMPORTED_BEFORE = ("numpy", "PIL.Image", "safetensors.torch", "torch", "torchvision")
"""Nothing of capcli or of its command line, which read the environment while they are imported."""


class PreloadedCommand:
    """Runs the command of an interpreter by forking; a context manager.

    Args:
        python: the interpreter beside which capcli is installed.
        environment: what the slow modules are imported with.
    """

    def __init__(self, python: str, environment: Mapping[str, str]) -> None:
        self._ours, theirs = socket.socketpair()
        with theirs:
            self._server = subprocess.Popen(
                [python, __file__, str(theirs.fileno())], env=dict(environment), pass_fds=[theirs.fileno()]
            )

    def run(
        self, arguments: Sequence[str], cwd: Path, environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """Runs `capcli ARGUMENTS` to its end, with nothing on stdin."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, Path(os.devnull).open("rb") as nothing:
            request = json.dumps({"arguments": arguments, "cwd": str(cwd), "environment": dict(environment)}).encode()
            files = [nothing.fileno(), out.fileno(), err.fileno()]
            socket.send_fds(self._ours, [len(request).to_bytes(8, "big")], files)
            self._ours.sendall(request)
            code = int.from_bytes(_receive(self._ours, 4), "big", signed=True)
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read().decode("utf-8"))
        return subprocess.CompletedProcess(["capcli", *arguments], code, *texts)

    def __enter__(self) -> PreloadedCommand:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ours.close()
        self._server.wait()


def _receive(connection: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        part = connection.recv(count - len(received))
        if not part:
            raise EOFError
        received += part
    return received


def _serve(connection: socket.socket) -> None:
    for module in IMPORTED_BEFORE:
        __import__(module)
    while True:
        length, files, _, _ = socket.recv_fds(connection, 8, 3)
        if not length:
            return
        request = json.loads(_receive(connection, int.from_bytes(length, "big")))
        pid = os.fork()
        if pid == 0:
            connection.close()
            _become(request, files)
        for file in files:
            os.close(file)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        connection.sendall(code.to_bytes(4, "big", signed=True))


def _become(request: dict[str, object], files: Sequence[int]) -> None:
    """Lives and ends as the command does."""
    code = 1
    try:
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        os.chdir(str(request["cwd"]))
        environment, arguments = request["environment"], request["arguments"]
        assert isinstance(environment, dict) and isinstance(arguments, list)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = ["capcli", *arguments]
        from capcli.__main__ import main

        main()
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
        _serve(served)
