"""The program of a worker process: reads pictures for its parent, and takes upon itself what they do to a process.

Parent and worker talk over the worker's stdin and stdout, in messages of one byte for the kind, four for the length
of the content, and the content. A worker ends as soon as its stdin does, so it never outlives its parent.
"""

from __future__ import annotations

import os
import signal
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from enum import IntEnum
from pathlib import Path
from queue import SimpleQueue
from typing import IO

from capcli.errors import TooManyPixels, UnreadableImage
from capcli.pictures.read import Source, read_array, read_described

_HEADER = struct.Struct("!BI")
_WANTED = struct.Struct("!I???Q")
_SHAPE = struct.Struct("!II")


class Kind(IntEnum):
    """What a message says.

    Attributes:
        READY: the worker has loaded; comes once, before all else.
        READ: the parent wants a picture; the content is made by `request`.
        TURN: the worker waits to decode a large picture, and the parent lets it by the same word.
        PIXELS: the worker has read it; the content is height and width, four bytes each, height * width * 3 bytes,
            and behind them its `Facts` where they are wanted; `split_pixels` reads it.
        REASON: the worker could not read it; the content is the reason of the UnreadableImage, in UTF-8.
        TOO_LARGE: as REASON, for a picture of more pixels than are decoded.
    """

    READY = 1
    READ = 2
    TURN = 3
    PIXELS = 4
    REASON = 5
    TOO_LARGE = 6


def send(pipe: IO[bytes], kind: Kind, content: bytes = b"") -> None:
    """Write one message.

    Raises:
        OSError: when nobody reads the other end of the pipe.
    """
    pipe.write(_HEADER.pack(kind, len(content)))
    pipe.write(content)
    pipe.flush()


def receive(pipe: IO[bytes]) -> tuple[Kind, bytes]:
    """Wait for one message.

    Raises:
        EOFError: when the pipe ends before the message does.
        ValueError: when what comes is no message.
    """
    header = pipe.read(_HEADER.size)
    if len(header) < _HEADER.size:
        raise EOFError
    number, length = _HEADER.unpack(header)
    kind, content = Kind(number), pipe.read(length)
    if len(content) < length:
        raise EOFError
    return kind, content


def split_pixels(content: bytes) -> tuple[tuple[int, int], bytearray, bytes]:
    """Height and width, the pixels, and what follows them, of the content of a PIXELS message."""
    height, width = _SHAPE.unpack_from(content)
    end = _SHAPE.size + height * width * 3
    return (height, width), bytearray(content[_SHAPE.size : end]), content[end:]


def request(
    source: Path | bytes,
    size: int,
    *,
    proportions: bool = False,
    described: bool = False,
    most_pixels: int | None = None,
) -> bytes:
    """Make the content of a READ message; any name that a file can have goes through it unharmed.

    Args:
        source: the picture: its file, or what that would hold.
        size: side of the square that it is made.
        proportions: keep its proportions instead, see `to_array`.
        described: whether its `Facts` are wanted too.
        most_pixels: the most that it may have.

    Raises:
        ValueError: for a name that no file can have.
        OSError: for a relative path when the current folder is gone.
    """
    held = isinstance(source, bytes)
    wanted = _WANTED.pack(size, proportions, described, held, most_pixels or 0)
    # Absolute, because a worker stays in the folder that it was started in.
    return wanted + (source if isinstance(source, bytes) else os.fsencode(source.absolute()))


def main() -> None:
    """Read pictures for the parent; see `serve`."""
    # Reading goes on in the gaps that the model leaves. Else its threads, which wait for each other, would all wait
    # for the one whose core is taken. Linux may weigh sessions, and this process has its own, before processes.
    with suppress(OSError, AttributeError):
        os.nice(10)
        Path("/proc/self/autogroup").write_text("10")
    serve(_answer)


def serve(answer: Callable[[bytes, AbstractContextManager[None]], tuple[Kind, bytes]]) -> None:
    """Serve the parent until it closes the pipe. Never returns: it ends the process.

    Args:
        answer: makes the reply to the content of a READ message; it may enter the other argument to wait for its turn.
    """
    # Ctrl-C may reach every process in the terminal; what it means is for the parent to decide.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Short of memory, Linux would end the largest process: the parent with its model, and the whole run with it.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")

    requests, replies = _taken_over(0, "rb"), _taken_over(1, "wb")
    os.dup2(1, 2)
    inbox: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_listen, args=(requests, inbox), daemon=True).start()

    @contextmanager
    def turn() -> Iterator[None]:
        send(replies, Kind.TURN)
        inbox.get()
        yield  # and the parent takes it to end with the reply

    try:
        send(replies, Kind.READY)
        while True:
            send(replies, *answer(inbox.get(), turn()))
    finally:
        os._exit(1)  # an ordinary end would stumble over the thread that holds stdin


def _answer(wanted: bytes, turn: AbstractContextManager[None]) -> tuple[Kind, bytes]:
    size, proportions, described, held, most = _WANTED.unpack_from(wanted)
    content = wanted[_WANTED.size :]
    source: Source = content if held else os.fsdecode(content)
    most_pixels = most or None
    try:
        if described:
            array, facts = read_described(source, size, proportions=proportions, large=turn, most_pixels=most_pixels)
            return Kind.PIXELS, _SHAPE.pack(*array.shape[:2]) + array.tobytes() + facts.encode()
        array = read_array(source, size, proportions=proportions, large=turn, most_pixels=most_pixels)
        return Kind.PIXELS, _SHAPE.pack(*array.shape[:2]) + array.tobytes()
    except TooManyPixels as error:
        return Kind.TOO_LARGE, error.reason.encode("utf-8", "surrogatepass")
    except UnreadableImage as error:
        return Kind.REASON, error.reason.encode("utf-8", "surrogatepass")
    except MemoryError:
        return Kind.REASON, b"does not fit into memory"


def _taken_over(descriptor: int, mode: str) -> IO[bytes]:
    """Move a descriptor out of the reach of C libraries, which print to it what they think of damaged files."""
    pipe: IO[bytes] = os.fdopen(os.dup(descriptor), mode)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
    return pipe


def _listen(requests: IO[bytes], inbox: SimpleQueue[bytes]) -> None:
    # In a thread of its own, so that the parent's end is noticed even in the middle of a read.
    try:
        while True:
            inbox.put(receive(requests)[1])
    finally:
        os._exit(0)
