from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from capcli.files.atomic import replacing, write_atomic

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no such files there")


def test_a_pipe_is_never_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="is not a regular file"):
        write_atomic(pipe, b"content")
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_device_gets_the_content_and_is_never_replaced() -> None:
    # A terminal's, in whose folder no file can be made: no fault of the code can cost the machine its /dev/null.
    screen, terminal = os.openpty()
    try:
        device = Path(os.ttyname(terminal))
        write_atomic(device, b"content")
        assert os.read(screen, 100) == b"content"
        with pytest.raises(OSError, match="is not a regular file"), replacing(device):
            pass
        assert device.is_char_device()
    finally:
        os.close(screen)
        os.close(terminal)
