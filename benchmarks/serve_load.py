"""What `capcli serve` answers on this computer: beside `capcli caption`, at half of its capacity and at twice of it.

usage: python benchmarks/serve_load.py [--pictures FOLDER] [--count N] [--rounds N] [--clients N] [--seconds S]
                                       [--model NAME|FILE] [--engine NAME]

First, in turns, in processes of their own:

  caption  what `capcli caption FOLDER -o rows.jsonl` does at its defaults, as benchmarks/throughput.py measures it
  serve    the same photographs, each a request (multipart) of one of N clients that wait for their answers

and the ratio of the two. The clients run on the same computer, in one process, which takes a part of its time. Then
photographs are sent to one server at fixed moments, whether others were answered or not: for S seconds at half of the
rate that the clients reached, and for S seconds at twice that rate. Each request must be answered: with a caption, or
with 429 and Retry-After. A request without an answer is lost, and the exit code is then 1.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from machine import command, describe
from photographs import make_photographs

from capcli.model.options import BATCH, ModelOptions
from capcli.speed.turns import Work, take_turn

BOUNDARY = "capcli-picture"
PATIENCE = 120.0
"""Seconds after which a request is lost."""


@dataclass(frozen=True)
class Answer:
    """What came of a request.

    Attributes:
        status: of HTTP.
        seconds: from the moment it was to be sent to the end of the answer.
        headers: of the answer, in lower case.
    """

    status: int
    seconds: float
    headers: dict[str, str]


@dataclass
class Account:
    """What came of many.

    Attributes:
        answers: that came.
        lost: why the others did not.
        seconds: that all of it took.
    """

    answers: list[Answer] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Captions a second."""
        return len(self.times) / self.seconds

    @property
    def times(self) -> list[float]:
        """Seconds that requests with captions took, the quickest first."""
        return sorted(answer.seconds for answer in self.answers if answer.status == 200)

    def percentile(self, share: float) -> float:
        """The seconds that so many of 100 requests with captions do not exceed."""
        times = self.times
        return times[min(len(times) - 1, int(len(times) * share / 100))] if times else float("nan")

    def row(self, name: str) -> str:
        """A line of the table."""
        statuses = Counter(answer.status for answer in self.answers)
        by_status = ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))
        times = " | ".join(f"{1000 * self.percentile(share):.0f} ms" for share in (50, 95, 99))
        return f"| {name} | {by_status} | {len(self.lost)} | {self.rate:.1f} | {times} |"


class Connection:
    """A connection to the server, kept for many requests."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._pipe: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, body: bytes, since: float) -> Answer:
        """The answer to a form; raises OSError and EOFError where there is none."""
        if self._pipe is None:
            self._pipe = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._pipe
        head = (
            f"POST /v1/captions HTTP/1.1\r\nHost: {self._host}:{self._port}\r\nContent-Length: {len(body)}\r\n"
            f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        await reader.readexactly(int(headers["content-length"]))
        return Answer(int(first.split()[1]), time.perf_counter() - since, headers)

    def close(self) -> None:
        """Ends it."""
        if self._pipe is not None:
            self._pipe[1].close()


class Load:
    """Sends pictures to a server.

    Args:
        address: of the server.
        bodies: of the requests, which are sent in turn.
    """

    def __init__(self, address: str, bodies: Sequence[bytes]) -> None:
        self._address, self._bodies = address, bodies

    async def wait_each(self, clients: int, count: int) -> Account:
        """So many clients, each of which sends its next picture when it has the answer to the one before."""
        account, waiting = Account(), iter(range(count))

        async def client() -> None:
            async with self._connection() as connection:
                for number in waiting:
                    await self._ask(connection, number, time.perf_counter(), account)

        begun = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(clients)))
        account.seconds = time.perf_counter() - begun
        return account

    async def wait_for_none(self, rate: float, seconds: float) -> Account:
        """Pictures at fixed moments, so many a second."""
        account, idle = Account(), list[Connection]()

        async def send(number: int, moment: float) -> None:
            connection = idle.pop() if idle else Connection(self._address)
            await self._ask(connection, number, moment, account)
            idle.append(connection)

        begun, sent = time.perf_counter(), []
        for number in range(int(rate * seconds)):
            moment = begun + number / rate
            await asyncio.sleep(max(0.0, moment - time.perf_counter()))
            sent.append(asyncio.create_task(send(number, moment)))
        await asyncio.gather(*sent)
        account.seconds = time.perf_counter() - begun
        for connection in idle:
            connection.close()
        return account

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        connection = Connection(self._address)
        try:
            yield connection
        finally:
            connection.close()

    async def _ask(self, connection: Connection, number: int, moment: float, account: Account) -> None:
        body = self._bodies[number % len(self._bodies)]
        try:
            account.answers.append(await asyncio.wait_for(connection.ask(body, moment), PATIENCE))
        except (OSError, EOFError, asyncio.TimeoutError) as error:
            account.lost.append(repr(error))


def make_body(name: str, content: bytes) -> bytes:
    """A form with one picture."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n\r\n'
    return head.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()


def read_bodies(pictures: Path) -> list[bytes]:
    """A request for each picture of a folder."""
    return [make_body(file.name, file.read_bytes()) for file in sorted(pictures.iterdir())]


@contextmanager
def serving(arguments: Sequence[str]) -> Iterator[str]:
    """The address of a server that runs until the end of the block."""
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--count", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--model", default="base")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--batch-size", type=int, default=BATCH, help=argparse.SUPPRESS)
    options = parser.parse_args()
    print(f"machine: {describe()}")
    with tempfile.TemporaryDirectory() as folder:
        if options.pictures is None:
            options.pictures = Path(folder)
            make_photographs(options.pictures, options.count)
        sys.exit(measure(options))


def measure(options: argparse.Namespace) -> int:
    """Prints all figures; returns the exit code."""
    bodies = read_bodies(options.pictures)
    arguments = [command(), "serve", "-q", "--port", "0", "--model", options.model, "--engine", options.engine]
    arguments += ["--batch-size", str(options.batch_size)]
    model = ModelOptions(options.model, device="cpu", engine=options.engine, batch_size=options.batch_size)
    work, rounds = Work(model, options.pictures, len(bodies)), []
    for number in range(1, options.rounds + 1):
        captioned = take_turn("folder", work)["rate"]
        with serving(arguments) as address:
            load = Load(address, bodies)
            asyncio.run(load.wait_each(options.clients, options.clients))
            account = asyncio.run(load.wait_each(options.clients, len(bodies)))
        rounds.append((captioned, account.rate))
        print(
            f"round {number}: caption {captioned:.2f} images/s, serve {account.rate:.2f} requests/s with "
            f"{options.clients} clients, ratio {account.rate / captioned:.3f}, p99 "
            f"{1000 * account.percentile(99):.0f} ms, lost {len(account.lost)}",
            flush=True,
        )
    capacity = statistics.median(rate for _, rate in rounds)
    ratio = statistics.median(rate / captioned for captioned, rate in rounds)
    print(f"median of {len(rounds)}: serve {capacity:.2f} requests/s, ratio {ratio:.3f}\n")
    print("| sent | answers | lost | captions/s | p50 | p95 | p99 |\n|---|---|---|---|---|---|---|")
    lost = []
    for name, share in (("half", 0.5), ("twice", 2.0)):
        with serving(arguments) as address:
            load = Load(address, bodies)
            asyncio.run(load.wait_each(options.clients, options.clients))
            account = asyncio.run(load.wait_for_none(share * capacity, options.seconds))
        print(account.row(f"{share * capacity:.1f}/s, {name} of capacity"), flush=True)
        refused = [answer for answer in account.answers if answer.status == 429]
        lost += [*account.lost, *("no Retry-After" for answer in refused if "retry-after" not in answer.headers)]
    for why in itertools.islice(lost, 5):
        print(why, file=sys.stderr)
    return 1 if lost else 0


if __name__ == "__main__":
    main()
