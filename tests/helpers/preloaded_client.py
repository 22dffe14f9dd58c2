"""Asks a `preloaded.ForkServer` for a program; as a program, `... ADDRESS -c PROGRAM` takes the place of `python -c`.

It imports next to nothing, as it starts for each process that reads pictures.
"""

from __future__ import annotations

import _socket
import marshal
import os
import sys
from array import array

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket


def ask(address: str, request: tuple[str, list[str], str, dict[str, str]], files: list[int]) -> socket:
    """Has the server start a program, with these files as its stdin, stdout and stderr.

    Args:
        address: of the server.
        request: the program, its `sys.argv`, its current folder and its environment.
        files: three descriptors.

    Returns:
        what `ended` waits on; once it is closed, the server kills the program.
    """
    if "socket" in sys.modules:
        connection = sys.modules["socket"].socket(_socket.AF_UNIX)
    else:
        connection = _socket.socket(_socket.AF_UNIX)
    connection.connect(address)
    content = marshal.dumps(request)
    rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array("i", files))
    connection.sendmsg([len(content).to_bytes(8, "big")], [rights])
    connection.sendall(content)
    return connection  # type: ignore[no-any-return]


def ended(connection: socket) -> int:
    """Waits for the program's exit code, negative for a signal."""
    code = connection.recv(4)
    if len(code) < 4:
        raise EOFError("the server is gone")
    return int.from_bytes(code, "big", signed=True)


def main() -> None:
    """Lives and ends as the program does."""
    address, option, program, *arguments = sys.argv[1:]
    assert option == "-c"
    request = (program, ["-c", *arguments], os.getcwd(), dict(os.environ))  # noqa: PTH109 - pathlib takes long to import
    code = ended(ask(address, request, [0, 1, 2]))
    if code < 0:
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    main()
