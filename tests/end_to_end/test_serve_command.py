"""`capcli serve` as other programs meet it: over sockets that are slow, torn or gone, and by signals."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from serve_pictures import png

pytest.importorskip("prometheus_client")
pytest.importorskip("python_multipart")
pytest.importorskip("uvicorn")
import serve_load

Serve = Callable[..., "tuple[str, subprocess.Popen[str]]"]

HEAD = f"POST /v1/captions HTTP/1.1\r\nContent-Type: multipart/form-data; boundary={serve_load.BOUNDARY}\r\n"
BODY = serve_load.make_body("a.png", png(100))


@pytest.fixture
def serve(stand_in: list[str], environment: dict[str, str], tmp_path: Path) -> Iterator[Serve]:
    """Starts the command with the stand-in for the model; returns the address that it prints, and the process."""
    started = []

    def start(*arguments: object, **variables: str) -> tuple[str, subprocess.Popen[str]]:
        server = subprocess.Popen(
            [*stand_in, "serve", "--port", "0", "-q", *map(str, arguments)],
            env={**environment, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
        )
        started.append(server)
        assert server.stdout is not None
        return server.stdout.readline().strip(), server

    yield start
    for server in started:
        server.kill()
        server.communicate()


def connect(address: str) -> socket.socket:
    parts = urlsplit(address)
    return socket.create_connection((parts.hostname, parts.port), 60)


def send(address: str, body: bytes = BODY, length: int | None = None) -> socket.socket:
    """A connection on which a request was sent, whose head announces another length than it has perhaps."""
    connection = connect(address)
    head = f"{HEAD}Host: {urlsplit(address).netloc}\r\nContent-Length: {length or len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)
    return connection


def receive(connection: socket.socket) -> tuple[int, dict[str, object]]:
    """The status and the JSON of an answer."""
    with connection, connection.makefile("rb") as file:
        status, length = int(file.readline().split()[1]), 0
        while (line := file.readline()) != b"\r\n":
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        return status, json.loads(file.read(length))


def sentence(answer: tuple[int, dict[str, object]]) -> tuple[int, str]:
    error = answer[1]["error"]
    assert isinstance(error, dict)
    return answer[0], error["message"]


def wait_for_batch(begun: Path, count: int, seconds: float = 60) -> None:
    """Until the model has begun so many batches, the one that warms it up among them."""
    deadline = time.monotonic() + seconds
    while (begun.stat().st_size if begun.exists() else 0) < count:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_once_all_that_it_took_is_answered(serve: Serve, tmp_path: Path, number: int) -> None:
    begun = tmp_path / "begun"
    address, server = serve("--batch-size", 1, BATCH_SECONDS="0 1", BATCHES_BEGUN=str(begun))
    waiting = [send(address) for _ in range(2)]
    idle = connect(address)
    wait_for_batch(begun, 2)
    server.send_signal(number)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            connect(address).close()
        except OSError:
            break
        time.sleep(0.02)
    else:
        pytest.fail("it still lets others in")
    assert server.poll() is None
    assert [receive(connection)[0] for connection in waiting] == [200, 200]
    assert server.wait(30) == 0
    assert server.stderr is not None
    assert server.stderr.read() == ""
    idle.close()


@pytest.mark.slow
def test_clients_that_are_slow_torn_or_gone_are_ended_and_the_server_goes_on(serve: Serve, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    address, server = serve("--timeout", 2, "--batch-size", 1, BATCH_SECONDS="0 0.5", BATCHES_BEGUN=str(begun))
    # Half a request and then nothing, half a head, and nothing at all.
    half, silent, head = send(address, BODY[:40], len(BODY)), connect(address), connect(address)
    head.sendall(HEAD[:30].encode())
    expected = (408, "the request did not arrive within 2 s")
    assert [sentence(receive(client)) for client in (half, head, silent)] == [expected] * 3
    # Half a request, and the client is gone.
    send(address, BODY[:40], len(BODY)).close()
    garbage = connect(address)
    garbage.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
    assert sentence(receive(garbage)) == (400, "this is no HTTP request")
    # Clients that do not wait for their answers: what waits for the model is dropped.
    first = send(address)
    wait_for_batch(begun, 2)
    gone = [send(address) for _ in range(3)]
    time.sleep(0.2)
    for connection in gone:
        connection.close()
    last = send(address)
    assert (receive(first)[0], receive(last)[0]) == (200, 200)
    assert begun.stat().st_size == 3
    server.terminate()
    assert server.wait(30) == 0
    assert server.stderr is not None
    assert server.stderr.read() == ""


@pytest.mark.slow
def test_at_twice_of_what_it_can_no_request_stays_without_an_answer(serve: Serve) -> None:
    # Batches of 4 in a tenth of a second: 40 pictures a second at most.
    address, _ = serve("--batch-size", 4, "--queue", 8, BATCH_SECONDS="0.1")
    load = serve_load.Load(address, [serve_load.make_body("a.png", png(light)) for light in range(0, 250, 10)])
    asyncio.run(load.wait_each(4, 8))  # the processes that read are there
    account = asyncio.run(load.wait_for_none(80, 2.0))
    assert account.lost == []
    statuses = [answer.status for answer in account.answers]
    assert len(statuses) == 160
    assert set(statuses) == {200, 429}
    assert statuses.count(200) >= 40
    assert all(answer.headers["retry-after"].isdecimal() for answer in account.answers if answer.status == 429)
    # Eight requests wait for at most three batches.
    assert account.percentile(50) < 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "{taken}"], "port {taken} is taken; --port 0 takes a free one, or end the other program"),
        (["--host", "203.0.113.1"], "--host 203.0.113.1 is no address of this computer; 127.0.0.1 is this computer"),
        (["--host", "0.0.0.0"], "--host 0.0.0.0 lets other computers in: add --token-file FILE"),
        (["--host", "no such name"], "--host no such name is no address: "),
        (["--token-file", "gone"], "gone: no such file or directory"),
        (["--vocabulary", "gone"], "gone: "),
        (["--prefix", "unknowable"], "the model does not know the word 'unknowable'"),
    ],
)
def test_what_it_cannot_begin_with_is_one_line(
    capcli_serve: Callable[..., subprocess.CompletedProcess[str]], arguments: list[str], message: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = str(other.getsockname()[1])
        done = capcli_serve(*(argument.format(taken=taken) for argument in arguments))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("capcli: error: " + message.format(taken=taken))


@pytest.fixture
def capcli_serve(stand_in: list[str], environment: dict[str, str], tmp_path: Path) -> Callable[..., object]:
    """Runs the command with the stand-in for the model to its end."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        free = [] if "--port" in arguments else ["--port", "0"]
        return subprocess.run(
            [*stand_in, "serve", *free, *arguments], env=environment, capture_output=True, text=True, timeout=120
        )

    return run


@pytest.mark.slow
def test_the_shipped_model_answers_as_the_command_does(command: str, environment: dict[str, str]) -> None:
    picture = Path(__file__).parents[2] / "examples" / "coffee.jpg"
    with subprocess.Popen(
        [command, "serve", "--port", "0", "-q"], env=environment, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().strip()
            connection = send(address, serve_load.make_body("coffee.jpg", picture.read_bytes()))
            status, answer = receive(connection)
        finally:
            server.terminate()
    done = subprocess.run([command, "caption", picture, "--format", "jsonl"], env=environment, capture_output=True)
    row = {"name": "coffee.jpg", **json.loads(done.stdout)}
    assert (status, answer["model"]) == (200, row.pop("model"))
    row.pop("path")
    assert answer["results"] == [{**row, "confidence": pytest.approx(row["confidence"], abs=1e-5)}]
    assert server.returncode == 0
