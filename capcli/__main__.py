"""Where the command begins; `python -m capcli` is `capcli`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; Ctrl-C is one line even while it still loads."""
    try:
        from capcli.cli import main as run

        run()
    except KeyboardInterrupt:
        print("capcli: interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
