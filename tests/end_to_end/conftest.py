"""The installed command, run as users run it: another process, another folder, no network, no caches."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import fake_captioner
import numpy as np
import pytest
from chromium import Chromium
from PIL import Image
from preloaded import COMMAND, COMMAND_MODULES, ForkedRun, ForkServer
from quick_readers import patch

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Imports = Callable[..., "tuple[subprocess.CompletedProcess[str], set[str]]"]
Start = Callable[..., "subprocess.Popen[bytes]"]
StartQuickly = Callable[..., ForkedRun]
Review = Callable[..., "tuple[str, subprocess.Popen[str]]"]

# The command with a model that starts at once and sees SIZE pixels a side. A batch takes BATCH_SECONDS, or with several
# numbers the first batch the first of them and so on; the file BATCHES_BEGUN grows by a byte as each begins. What it
# says of a picture depends on that picture alone; how sure it is, like the last digits of a real model, on all that it
# is computed with.
STAND_IN = f"""
import os, sys, time, zlib
sys.path.insert(0, {str(Path(fake_captioner.__file__).parent)!r})
from capcli.cli import main
from fake_captioner import FakeCaptioner

seconds = [float(number) for number in os.environ.get("BATCH_SECONDS", "0").split()]

class StandIn(FakeCaptioner):
    matches = True
    size = int(os.environ.get("SIZE", FakeCaptioner.size))

    def caption_and_embed_arrays(self, arrays, options, *rest):
        return [(one, array[0, 0] / 255) for one, array in zip(self.caption_arrays(arrays, options), arrays)]

    def caption_arrays(self, arrays, options, *rest):
        if begun := os.environ.get("BATCHES_BEGUN"):
            with open(begun, "ab") as file:
                file.write(b".")
        time.sleep(seconds.pop(0) if len(seconds) > 1 else seconds[0])
        return super().caption_arrays(arrays, options, *rest)

    def sentence(self, array):
        return f'A picture of {{zlib.crc32(array.tobytes()):08x}}, and "nothing" else.'

    def confidence(self, array, together):
        return (zlib.crc32(array.tobytes()) ^ zlib.crc32(together.tobytes())) % 1000 / 1000

main(StandIn().load)
"""


@pytest.fixture(scope="session")
def command() -> str:
    """Path of the installed console script."""
    for name in ("capcli", "capcli.exe"):
        script = Path(sysconfig.get_path("scripts"), name)
        if script.is_file():
            return str(script)
    raise FileNotFoundError("the command capcli is not installed beside this Python; pip install . first")


@pytest.fixture(scope="session")
def preloaded_stand_in(environment: dict[str, str]) -> Iterator[ForkServer]:
    """Starts programs that do not."""
    with ForkServer(sys.executable, environment, COMMAND_MODULES) as server:
        yield server


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder; tests leave it as it is."""
    return tmp_path_factory.mktemp("empty")


@pytest.fixture(scope="session")
def fork(preloaded: ForkServer, readers: ForkServer, environment: dict[str, str], empty: Path) -> StartQuickly:
    """Starts `capcli ARGUMENTS` in `cwd` (by default an empty folder), forked from a process that has imported torch.

    `variables` are added to its environment; other keywords are those of `ForkServer.start`.
    """

    def begin(
        *arguments: object, cwd: Path = empty, variables: Mapping[str, str] | None = None, **streams: Any
    ) -> ForkedRun:
        asked = ["capcli", *map(str, arguments)]
        program = patch(readers.address) + COMMAND
        return preloaded.start(program, asked, cwd, {**environment, **(variables or {})}, **streams)

    return begin


@pytest.fixture(scope="session")
def capcli(fork: StartQuickly, empty: Path) -> Run:
    """Runs `capcli ARGUMENTS` in `cwd` (by default an empty folder) and returns the finished process.

    Other keywords are added to its environment. Whatever happens, it must not end in a traceback.
    """

    def run(*arguments: object, cwd: Path = empty, **variables: str) -> subprocess.CompletedProcess[str]:
        run = fork(*arguments, cwd=cwd, variables=variables)
        stdout, stderr = (content.decode() for content in run.communicate())
        assert "Traceback" not in stderr, stderr
        return subprocess.CompletedProcess(["capcli", *map(str, arguments)], run.wait(), stdout, stderr)

    return run


@pytest.fixture(scope="session")
def imports(command: str, environment: dict[str, str], empty: Path) -> Imports:
    """Runs `capcli ARGUMENTS` in a process that imports all anew; returns it, finished, and the modules imported."""

    def run(*arguments: object) -> tuple[subprocess.CompletedProcess[str], set[str]]:
        done = subprocess.run(
            [command, *map(str, arguments)],
            cwd=empty,
            env={**environment, "PYTHONPROFILEIMPORTTIME": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
        )
        return done, {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}

    return run


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command with a model that starts at once: `STAND_IN`."""
    program = tmp_path_factory.mktemp("stand_in") / "program.py"
    program.write_text(STAND_IN)
    return [sys.executable, str(program)]


@pytest.fixture
def start(stand_in: list[str], environment: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """Starts `capcli caption ARGUMENTS` in `tmp_path` with the stand-in for the model.

    `variables` are added to its environment; other keywords are those of `subprocess.Popen`. What still runs when
    the test ends is killed.
    """
    started = []

    def begin(*arguments: object, variables: dict[str, str] | None = None, **options: Any) -> subprocess.Popen[bytes]:
        pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(
            [*stand_in, "caption", *map(str, arguments)],
            **{"cwd": tmp_path, "env": {**environment, **(variables or {})}, **pipes, **options},
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        with process:
            process.kill()


@pytest.fixture
def start_quickly(
    preloaded_stand_in: ForkServer, readers: ForkServer, environment: dict[str, str], tmp_path: Path
) -> Iterator[StartQuickly]:
    """Starts the stand-in as `start` does, forked from a process that has imported what is slow."""
    started = []

    def begin(
        *arguments: object, cwd: Path = tmp_path, variables: dict[str, str] | None = None, **streams: Any
    ) -> ForkedRun:
        asked = ["capcli", "caption", *map(str, arguments)]
        program = patch(readers.address) + STAND_IN
        started.append(preloaded_stand_in.start(program, asked, cwd, {**environment, **(variables or {})}, **streams))
        return started[-1]

    yield begin
    for run in started:
        run.kill()


@pytest.fixture
def caption(start: Start, start_quickly: StartQuickly) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Runs `capcli caption` to its end, which must not be a traceback; `input` goes to its stdin.

    It is a process of its own, which `start_quickly` starts, or `start` where a test asks for more than that can do.
    """

    def run(*arguments: object, input: bytes | None = None, **options: Any) -> subprocess.CompletedProcess[bytes]:
        process: ForkedRun | subprocess.Popen[bytes]
        if options.keys() <= {"cwd", "variables", "stdout"} and "PYTHONPATH" not in options.get("variables", ()):
            process = start_quickly(*arguments, stdin=input or b"", **options)
            stdout, stderr = process.communicate()
        else:
            process = start(
                *arguments, **{"stdin": subprocess.DEVNULL if input is None else subprocess.PIPE, **options}
            )
            stdout, stderr = process.communicate(input)
        assert b"Traceback" not in (stderr or b""), stderr
        assert process.returncode is not None
        return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)

    return run


@pytest.fixture
def review(command: str, environment: dict[str, str], tmp_path: Path) -> Iterator[Review]:
    """Starts `capcli review ARGUMENTS` in `tmp_path`; returns the address that it prints, and the process.

    What still runs when the test ends is killed.
    """
    started = []

    def begin(*arguments: object, port: int = 0) -> tuple[str, subprocess.Popen[str]]:
        asked = [command, "review", *map(str, arguments), "--port", str(port), "-q"]
        server = subprocess.Popen(asked, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
        started.append(server)
        assert server.stdout is not None
        return server.stdout.readline().strip(), server

    yield begin
    for server in started:
        with server:
            server.kill()


@pytest.fixture(scope="session")
def eventually() -> Callable[[Callable[[], Any]], None]:
    """Waits until something holds, which takes as long as the machine is slow; fails after a minute."""

    def wait(holds: Callable[[], Any]) -> None:
        end = time.monotonic() + 60
        while not holds():
            assert time.monotonic() < end, "it does not come"
            time.sleep(0.01)

    return wait


@pytest.fixture(scope="session")
def make_pictures() -> Callable[[Path, int], list[Path]]:
    """Fills a new folder with small pictures, each of which differs from the others."""

    def make(folder: Path, count: int) -> list[Path]:
        folder.mkdir(parents=True)
        paths = [folder / f"img{number}.png" for number in range(count)]
        for number, path in enumerate(paths):
            pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(path)
        return paths

    return make


@pytest.fixture(scope="session")
def examples() -> Path:
    """Folder of real photographs."""
    return Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="session")
def json_rows(capcli: Run, examples: Path) -> list[dict[str, Any]]:
    """What `capcli caption --format jsonl` prints for all examples at the default options."""
    done = capcli("caption", "--format", "jsonl", examples)
    assert done.returncode == 0
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="session")
def captions(json_rows: list[dict[str, Any]]) -> dict[str, str]:
    """Captions of the examples by file name without its ending."""
    return {Path(row["path"]).stem: row["caption"] for row in json_rows}


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """A headless browser, on the screen and with the preferences that each `open` says."""
    with Chromium.start(tmp_path_factory.mktemp("profile")) as chromium:
        yield chromium
