"""`python -m capcli` is `capcli`."""

from __future__ import annotations

from capcli.cli import main

if __name__ == "__main__":
    main()
