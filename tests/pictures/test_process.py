from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import pytest
from PIL import Image

import capcli
from capcli.errors import CapcliError
from capcli.pictures.process import Crash, ReadingProcess, TooSlow, worker_command
from capcli.pictures.worker import Kind, request

posix = pytest.mark.skipif(os.name == "nt", reason="a matter of POSIX")

WHITE = (Kind.PIXELS, bytes([0, 0, 0, 2, 0, 0, 0, 2]) + b"\xff" * 12)
HOME = Path(capcli.__file__).parent

Make = Callable[..., ReadingProcess]


@pytest.fixture
def make() -> Iterator[Make]:
    """Starts a process; `change` is Python that changes how its worker reads, e.g. the function `read`."""
    processes = []

    def process(
        change: str = "", *, patience: float = 120, large: AbstractContextManager[object] | None = None
    ) -> ReadingProcess:
        program = f"""if True:
            import os, signal, threading
            from capcli.pictures import read as reader, worker
            read = usual = reader.read_array
            {change}
            worker.read_array = read
            worker.main()
        """
        command = [sys.executable, "-c", program] if change else worker_command()
        processes.append(ReadingProcess(command, patience, large or nullcontext()))
        processes[-1].start()
        return processes[-1]

    yield process
    for reading in processes:
        reading.close()
        reading.reap()


@pytest.fixture
def wanted(tmp_path: Path) -> bytes:
    Image.new("RGB", (5, 3), "white").save(tmp_path / "white.png")
    return request(tmp_path / "white.png", 2)


def test_one_process_reads_many(make: Make, wanted: bytes) -> None:
    process = make()
    pid = process.pid
    assert [process.read(wanted) for _ in range(3)] == [WHITE] * 3
    assert process.pid == pid


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("os._exit(7)", "exit code 7"),
        pytest.param("os.kill(os.getpid(), signal.SIGKILL)", "signal 9", marks=posix),
        ("raise SystemError", "exit code 1"),
    ],
)
def test_a_crash_tells_how_the_process_ended(make: Make, wanted: bytes, end: str, reason: str) -> None:
    process = make(f"exec('def read(*args, **options): {end}')")
    with pytest.raises(Crash, match=f"^{reason}$"):
        process.read(wanted)
    assert process.pid is None


def test_after_a_crash_another_process_reads(make: Make, wanted: bytes) -> None:
    process = make("read = lambda *args, **rest: usual(*args, **rest) if 'white' in args[0] else os._exit(7)")
    with pytest.raises(Crash):
        process.read(request(Path("fatal.png"), 2))
    assert process.read(wanted) == WHITE


def test_a_process_that_was_ended_between_two_pictures_is_replaced(make: Make, wanted: bytes) -> None:
    process = make()
    assert process.read(wanted) == WHITE
    first = process.pid
    assert first
    os.kill(first, signal.SIGTERM)
    while process.pid is not None:
        pass
    assert process.read(wanted) == WHITE
    assert process.pid not in (first, None)


def test_a_read_without_end_is_ended_when_patience_is(make: Make, wanted: bytes) -> None:
    process = make(
        "read = lambda *args, **rest: usual(*args, **rest) if 'white' in args[0] else threading.Event().wait()",
        patience=10,
    )
    assert process.read(wanted) == WHITE  # so that it has loaded
    with ThreadPoolExecutor(1) as thread:
        reading = thread.submit(process.read, request(Path("endless.png"), 2))
        while not reading.done():
            process.tick(1)
        with pytest.raises(TooSlow, match=r"^no answer in 10 s$"):
            reading.result()
    assert process.read(wanted) == WHITE


def test_waiting_for_the_turn_of_a_large_picture_costs_no_patience(make: Make, wanted: bytes) -> None:
    turns: list[str] = []

    @contextmanager
    def long_wait() -> Iterator[None]:
        process.tick(1000)
        turns.append("taken")
        yield
        turns.append("given back")

    process = make("reader.LARGE_PIXELS = 10", patience=10, large=long_wait())
    assert process.read(wanted) == WHITE
    assert turns == ["taken", "given back"]


def test_closing_in_the_middle_of_a_picture_cancels_it(make: Make, wanted: bytes) -> None:
    @contextmanager
    def turn() -> Iterator[None]:
        process.close()
        yield

    process = make("reader.LARGE_PIXELS = 10", large=turn())
    for _ in range(2):
        with pytest.raises(CancelledError):
            process.read(wanted)
    assert process.pid is None


@pytest.mark.parametrize("program", ["raise SystemExit(3)", "print('this is no message')", ""])
def test_a_program_that_is_no_worker_is_told_from_a_bad_picture(wanted: bytes, program: str) -> None:
    process = ReadingProcess([sys.executable, "-c", program], 120, nullcontext())
    with pytest.raises(CapcliError, match=r"^the processes that read pictures do not start .*say why$"):
        process.read(wanted)


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CapcliError, match=r"^cannot start a process to read pictures \(.+\): .*absent$"):
        ReadingProcess([str(tmp_path / "absent")], 120, nullcontext()).start()


@pytest.mark.parametrize(("name", "value"), [("executable", None), ("executable", ""), ("frozen", True)])
def test_without_a_python_to_run_there_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    monkeypatch.setattr(sys, name, value, raising=False)
    with pytest.raises(CapcliError, match=r"sys\.executable") as caught:
        worker_command()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("option", ["-I", "-B"])
def test_the_worker_is_of_the_package_that_asks(tmp_path: Path, option: str) -> None:
    """A parent that alone knows where its package lies, in a folder full of modules with misleading names."""
    shutil.copytree(HOME / "pictures", tmp_path / "home" / "capcli" / "pictures")
    for module in ("__init__.py", "arrays.py", "errors.py", "version.py"):
        shutil.copy(HOME / module, tmp_path / "home" / "capcli")
    with (tmp_path / "home" / "capcli" / "pictures" / "read.py").open("a") as file:
        file.write("def read_array(path, *_, **__): raise UnreadableImage(path, 'is seen by the copy')\n")
    (tmp_path / "elsewhere" / "capcli").mkdir(parents=True)
    for module in ("numpy.py", "capcli/__init__.py"):
        (tmp_path / "elsewhere" / module).write_text("raise SystemExit('wrong one')")

    program = """if True:
        import os, sys
        sys.path.insert(0, sys.argv[1])
        from contextlib import nullcontext
        from pathlib import Path
        from capcli.pictures.process import ReadingProcess, worker_command
        from capcli.pictures.worker import request
        sys.path[0] = ""
        os.chdir(sys.argv[2])
        process = ReadingProcess(worker_command(), 120, nullcontext())
        print(process.read(request(Path(), 2))[1].decode())
        process.close(), process.reap()
    """
    done = subprocess.run(
        [sys.executable, option, "-c", program, str(tmp_path / "home"), str(tmp_path / "elsewhere")],
        env=os.environ | {"PYTHONPATH": str(tmp_path / "elsewhere") if option == "-I" else ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.splitlines(), done.stderr) == (["is seen by the copy"], "")


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells")
def test_it_inherits_no_descriptor_but_its_pipes(make: Make, wanted: bytes, tmp_path: Path) -> None:
    with (tmp_path / "white.png").open("rb") as file:
        os.set_inheritable(file.fileno(), True)
        process = make()
    assert process.read(wanted) == WHITE
    targets = [str(link.readlink()) for link in Path(f"/proc/{process.pid}/fd").iterdir()]
    assert {target.split(":")[0] for target in targets} == {"pipe", os.devnull}


@posix
def test_the_terminals_interrupt_does_not_reach_it(make: Make) -> None:
    pid = make().pid
    assert pid
    assert os.getpgid(pid) != os.getpgrp()
