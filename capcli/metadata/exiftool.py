"""exiftool as one process that takes one command after the other, never through a shell."""

from __future__ import annotations

import html
import json
import os
import queue
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from capcli.errors import UsageError
from capcli.output.naming import absolute

LEAST_VERSION = (12, 46)
"""October 2022, the first that writes WebP; alt text came with 12.33."""

PATIENCE = 300.0
"""Seconds that exiftool may take for one picture."""

_HOW_TO_GET_IT = "get it by apt-get install libimage-exiftool-perl, brew install exiftool, or from https://exiftool.org"
_CONFIGURATION = """\
my $parent = getppid();
$SIG{ALRM} = sub { exit if getppid() != $parent; alarm 1 };
alarm 1;
1;
"""
"""Perl, in the place of the user's configuration: exiftool waits for ever for the next command of a process that was
killed, unless it looks now and then whether that is still there. Windows has no such calls."""

_READ = ("-j", "-G1:4", "-a", "-struct", "-n", "-u", "-b", "-e", "--MediaData")
_ENDS = b"{ready%d}"


class ExifToolError(Exception):
    """What exiftool could not do with one picture, one clause."""


class ExifTool:
    """A running exiftool; a context manager. It reads no configuration of the user.

    Raises:
        UsageError: if it is not on the PATH, does not start, or is older than LEAST_VERSION.
    """

    def __init__(self) -> None:
        program = shutil.which("exiftool")
        if program is None:
            raise UsageError(f"exiftool, which writes into pictures, is not installed; {_HOW_TO_GET_IT}")
        self._program = program
        self._folder = tempfile.TemporaryDirectory(prefix="capcli-")
        self._process: subprocess.Popen[bytes] | None = None
        self._count = 0
        try:
            version = self._execute(["-ver"])[0].strip()
        except ExifToolError as error:
            self.close()
            raise UsageError(f"{program} {error}; {_HOW_TO_GET_IT}") from None
        if _number(version) < LEAST_VERSION:
            self.close()
            least = ".".join(map(str, LEAST_VERSION))
            raise UsageError(f"exiftool {version[:20]!r} is too old, capcli needs {least} or newer; {_HOW_TO_GET_IT}")

    @property
    def folder(self) -> Path:
        """A folder for files that are gone at the end."""
        return Path(self._folder.name)

    def read(self, picture: Path) -> dict[str, Any]:
        """All tags of a file as `group:name`, `group:Copy1:name` where there are several; numbers are texts.

        Raises:
            ExifToolError: it is no file that exiftool knows, or is broken.
        """
        output, complaints = self._execute([*_READ, self._spell(picture)])
        try:
            (tags,) = json.loads(output, parse_int=str, parse_float=str)
        except ValueError:
            raise ExifToolError(f"exiftool cannot read it ({_reason(complaints or output)})") from None
        if error := tags.get("ExifTool:Error"):
            raise ExifToolError(f"exiftool cannot read it ({error})")
        return dict(tags)

    def write(
        self, source: Path, target: Path, values: Sequence[tuple[str, str]], *, iptc_to_utf8: bool = False
    ) -> None:
        """Write a file that is `source` with tags changed; `target` must not be there.

        Args:
            source: a file in `folder`.
            target: another one.
            values: names of tags with what exiftool calls the operation (`XMP-dc:Subject+`), and their new values.
            iptc_to_utf8: also write all IPTC that is there anew, in UTF-8.

        Raises:
            ExifToolError: exiftool does not write such files, or not this one.
        """
        # HTML is the one escaping that holds line breaks and whatever else an argument of one line cannot.
        arguments = [f"-{name}={_escape(value)}" for name, value in values]
        recoding = ["-tagsFromFile", "@", "-IPTC:all", "-IPTC:CodedCharacterSet=UTF8"] if iptc_to_utf8 else []
        _, complaints = self._execute(["-E", *recoding, *arguments, "-o", str(target), str(source)])
        if not target.exists():
            raise ExifToolError(f"exiftool cannot write it ({_reason(complaints)})")

    def close(self) -> None:
        """End the process, and remove the folder."""
        if self._process is not None:
            with suppress(OSError):
                _pipe(self._process.stdin).write(b"-stay_open\nFalse\n")
                _pipe(self._process.stdin).close()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
            self._end()
        self._folder.cleanup()

    def __enter__(self) -> ExifTool:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _spell(self, path: Path) -> str:
        """An argument that names a file, whatever it is called."""
        name = str(absolute(path))  # so that it begins neither with a dash nor with a space
        if not re.search("[\r\n]", name):
            return name
        link = self.folder / "link"
        with suppress(FileNotFoundError):
            link.unlink()
        link.symlink_to(name)
        return str(link)

    def _execute(self, arguments: Sequence[str]) -> tuple[str, str]:
        """What a command says on stdout and on stderr; raises ExifToolError where the process ends or is not heard."""
        if self._process is None or self._process.poll() is not None:
            self._start()
        assert self._process is not None
        self._count += 1
        end = _ENDS % self._count
        lines = [*arguments, "-charset", "filename=utf8", "-echo4", end.decode(), f"-execute{self._count}", ""]
        try:
            _pipe(self._process.stdin).write(b"\n".join(map(os.fsencode, lines)))
            _pipe(self._process.stdin).flush()
            output, complaints = (_until(end, stream) for stream in (self._output, self._complaints))
        except (OSError, EOFError):
            self._end()
            raise ExifToolError("ended without an answer") from None
        except queue.Empty:
            self._end()
            raise ExifToolError(f"gave no answer for {PATIENCE:.0f} s") from None
        return output.decode(errors="replace"), complaints.decode(errors="replace")

    def _start(self) -> None:
        configuration = self.folder / "configuration"
        configuration.write_text("1;" if os.name == "nt" else _CONFIGURATION)
        command = [self._program, "-config", str(configuration), "-stay_open", "True", "-@", "-"]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for capcli, which lets the picture in hand be finished
            )
        except OSError:
            raise ExifToolError("does not start") from None
        self._output, self._complaints = _listen(self._process.stdout), _listen(self._process.stderr)

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
                with suppress(OSError):
                    _pipe(pipe).close()
            self._process = None


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None, "the process was started with pipes"
    return pipe


def _listen(pipe: IO[bytes] | None) -> queue.Queue[bytes]:
    """Lines that a thread reads from a pipe, so that the process is heard on both; b"" ends them."""
    lines: queue.Queue[bytes] = queue.Queue()

    def hear() -> None:
        with suppress(OSError, ValueError):
            for line in _pipe(pipe):
                lines.put(line)
        lines.put(b"")

    threading.Thread(target=hear, daemon=True).start()
    return lines


def _until(end: bytes, lines: queue.Queue[bytes]) -> bytes:
    """All lines before the one that ends an answer; raises EOFError where there is none."""
    answer: list[bytes] = []
    while line := lines.get(timeout=PATIENCE):
        if line.rstrip(b"\r\n").endswith(end):
            return b"".join([*answer, line.rstrip(b"\r\n").removesuffix(end)])
        answer.append(line)
    raise EOFError


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)[:2]))


def _escape(value: str) -> str:
    # A line would lose a space that the value begins with, and ends at a line break.
    return re.sub(r"[\x00-\x1f]|^ ", lambda match: f"&#{ord(match[0])};", html.escape(value, quote=False))


def _reason(text: str) -> str:
    """The first of exiftool's complaints as a clause, without the name of a file, which is not the user's."""
    complaints = [line for line in text.splitlines() if line.startswith(("Error: ", "Warning: "))]
    line = min(complaints, default="it gives no reason")  # errors come first
    return re.sub(r"^(Error|Warning): ", "", line).partition(" - /")[0].strip()
