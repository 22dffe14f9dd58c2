from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kept_results import make_kept

from capcli.library.keeping import LibraryFile
from capcli.output import Result

Keep = Callable[..., list[Path]]


@pytest.fixture
def keep(tmp_path: Path) -> Keep:
    """Runs over pictures, given with captions and vectors, as `capcli caption` does; returns those that it took."""

    def run(captions: dict[Path, Any], *, library: Path = tmp_path / "photos.db", **how: bool) -> list[Path]:
        with LibraryFile(library, **how) as kept:
            todo = [path for path in captions if kept.state(path) is None]
            for path in todo:
                caption = captions[path]
                kept.write(caption if isinstance(caption, Result) else make_kept(path, caption))
        return todo

    return run
