from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from capcli.errors import UnreadableImage
from capcli.pictures.read import read_array
from capcli.pictures.worker import Kind, receive, request, send, split_pixels

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a worker after `prelude`, lines of Python that see the module as `worker`."""
    started = []

    def worker(prelude: str = "") -> subprocess.Popen[bytes]:
        program = f"import os, signal, threading\nfrom capcli.pictures import read, worker\n{prelude}\nworker.main()"
        process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        started.append(process)
        assert receive(process.stdout) == (Kind.READY, b"")  # type: ignore[arg-type]
        return process

    yield worker
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    Image.linear_gradient("L").convert("RGB").save(path)
    return path


def ask(process: subprocess.Popen[bytes], path: Path, size: int = 4) -> tuple[Kind, bytes]:
    assert process.stdin and process.stdout
    send(process.stdin, Kind.READ, request(path, size))
    return receive(process.stdout)


@given(st.lists(st.tuples(st.sampled_from(Kind), st.binary(max_size=40))))
def test_messages_arrive_as_they_were_sent(messages: list[tuple[Kind, bytes]]) -> None:
    pipe = io.BytesIO()
    for message in messages:
        send(pipe, *message)
    pipe.seek(0)
    assert [receive(pipe) for _ in messages] == messages
    with pytest.raises(EOFError):
        receive(pipe)


@given(st.sampled_from(Kind), st.binary(max_size=9), st.data())
def test_a_torn_message_is_the_end(kind: Kind, content: bytes, data: st.DataObject) -> None:
    pipe = io.BytesIO()
    send(pipe, kind, content)
    length = data.draw(st.integers(0, len(pipe.getvalue()) - 1))
    with pytest.raises(EOFError):
        receive(io.BytesIO(pipe.getvalue()[:length]))


def test_what_is_no_message_is_refused() -> None:
    with pytest.raises(ValueError, match="200"):
        receive(io.BytesIO(bytes([200, 0, 0, 0, 0])))


@pytest.mark.parametrize("size", [1, 7, 64])
def test_pixels_are_those_of_reading_here(start: Start, picture: Path, size: int) -> None:
    expected = read_array(picture, size)
    process = start()
    for _ in range(2):
        kind, content = ask(process, picture, size)
        assert (kind, split_pixels(content)) == (Kind.PIXELS, ((size, size), expected.tobytes(), b""))


def test_proportions_can_be_kept(start: Start, tmp_path: Path) -> None:
    Image.new("RGB", (30, 10), "white").save(tmp_path / "wide.png")
    process = start()
    assert process.stdin is not None and process.stdout is not None
    for size, shape in {12: (4, 12), 100: (10, 30), 1: (1, 1)}.items():
        send(process.stdin, Kind.READ, request(tmp_path / "wide.png", size, proportions=True))
        while (message := receive(process.stdout))[0] is not Kind.PIXELS:
            pass
        assert split_pixels(message[1]) == (shape, b"\xff" * (shape[0] * shape[1] * 3), b"")


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n", None])
def test_reasons_are_those_of_reading_here(start: Start, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "broken.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UnreadableImage) as caught:
        read_array(path, 8)
    assert ask(start(), path) == (Kind.REASON, caught.value.reason.encode())


def test_a_picture_that_outgrows_memory_has_a_reason(start: Start, picture: Path) -> None:
    process = start("def greedy(*_, **__): raise MemoryError\nworker.read_array = greedy")
    assert ask(process, picture) == (Kind.REASON, b"does not fit into memory")
    assert process.poll() is None


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are Unicode")
def test_names_in_no_encoding(start: Start, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9\n.png")
    Image.new("RGB", (3, 3), "white").save(path)
    kind, content = ask(start(), path, 2)
    assert (kind, split_pixels(content)[1]) == (Kind.PIXELS, b"\xff" * 12)


def test_a_large_picture_waits_for_its_turn(start: Start, picture: Path) -> None:
    process = start("read.LARGE_PIXELS = 100")
    assert ask(process, picture) == (Kind.TURN, b"")
    assert process.stdin and process.stdout
    send(process.stdin, Kind.TURN)
    assert receive(process.stdout)[0] is Kind.PIXELS


def test_what_libraries_print_goes_nowhere(start: Start, picture: Path) -> None:
    process = start(
        "def loud(*args, **options):\n"
        "    print('Python', flush=True), os.write(1, b'C'), os.write(2, b'C')\n"
        "    return read.read_picture(*args, **options)\n"
        "worker.read_picture = loud"
    )
    assert ask(process, picture)[0] is Kind.PIXELS
    assert process.communicate() == (b"", b"")


def test_it_ends_with_its_stdin(start: Start) -> None:
    process = start()
    process.communicate()
    assert process.returncode == 0


def test_it_ends_with_its_stdin_in_the_middle_of_a_picture(start: Start, picture: Path) -> None:
    process = start(
        "def endless(*args, **options): worker.send(out, worker.Kind.TURN), threading.Event().wait()\n"
        "out = os.fdopen(os.dup(1), 'wb')\n"
        "worker.read_array = endless"
    )
    assert ask(process, picture)[0] is Kind.TURN  # so it is in the middle
    process.communicate(timeout=60)
    assert process.returncode == 0


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_an_interrupt_is_left_to_the_parent(start: Start, picture: Path) -> None:
    process = start()
    process.send_signal(signal.SIGINT)
    assert ask(process, picture)[0] is Kind.PIXELS


@pytest.mark.skipif(sys.platform != "linux", reason="a setting of Linux")
def test_short_of_memory_it_goes_before_its_parent(start: Start) -> None:
    assert Path(f"/proc/{start().pid}/oom_score_adj").read_text() == "1000\n"


def test_it_loads_without_torch() -> None:
    program = "import sys, capcli.pictures.stream; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_relative_path_is_that_of_the_parent(start: Start, picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = start()
    monkeypatch.chdir(picture.parent)
    assert ask(process, Path(picture.name))[0] is Kind.PIXELS
