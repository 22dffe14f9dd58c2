"""Where the command begins; `python -m capcli` is `capcli`."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from types import FrameType


def main() -> None:
    """Run the command line; Ctrl-C is one line while it still loads, and nothing more once it ends."""
    heeded = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    try:
        if heeded:
            signal.signal(signal.SIGINT, _end)
        from capcli.cli import main as run

        if heeded:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        run()
    except KeyboardInterrupt:
        print("capcli: interrupted", file=sys.stderr)
        sys.exit(130)
    finally:
        # Python waits for threads now, and would answer another Ctrl-C with their tracebacks.
        if heeded:
            signal.signal(signal.SIGINT, signal.SIG_DFL)


def _end(number: int, frame: FrameType | None) -> None:
    # An exception would meet modules that are half imported, some of which turn it into another one.
    with suppress(OSError):  # stderr may be closed
        os.write(2, b"capcli: interrupted\n")
    os._exit(128 + number)


if __name__ == "__main__":
    main()
