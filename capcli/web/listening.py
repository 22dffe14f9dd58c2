"""The socket that a server listens on."""

from __future__ import annotations

import errno
import os
import socket

from capcli.errors import UsageError, system_reason

LOCAL = "127.0.0.1"
"""The address that this computer alone can reach."""

_REMEDY = "--port 0 takes a free one"


def listen(port: int, host: str = LOCAL) -> socket.socket:
    """A socket that listens.

    Args:
        port: to listen on; 0 for any free one.
        host: an address of this computer, or a name of one.

    Raises:
        UsageError: the port is taken or not for this user, or the host is no address of this computer.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise UsageError(f"--host {host} is no address: {_reason(error)}; {LOCAL} is this computer alone") from None
    # Only of a socket that names TCP asyncio knows that it may send small answers at once; if not, each waits 40 ms.
    listener = socket.socket(family, kind, protocol or socket.IPPROTO_TCP)
    try:
        if os.name != "nt":  # where it would share the port with another program
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise UsageError(f"port {port} is taken; {_REMEDY}, or end the other program") from None
        if error.errno == errno.EADDRNOTAVAIL:
            raise UsageError(f"--host {host} is no address of this computer; {LOCAL} is this computer alone") from None
        raise UsageError(f"port {port} cannot be used: {system_reason(error)}; {_REMEDY}") from None
    return listener


def _reason(error: OSError | UnicodeError) -> str:
    return system_reason(error) if isinstance(error, OSError) else "it cannot be one"
