"""ONNX Runtime, silent: its builds would tell their maker of each use."""

from __future__ import annotations

import os
from typing import Any


def load_runtime() -> Any:
    """The module `onnxruntime`, without its telemetry: no events, no connection, no identifier on the disk.

    Raises:
        ImportError: if it is not installed.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # is read once, when the module is imported
    import onnxruntime

    # For builds that know no such variable, and where another part of the program imported it before.
    onnxruntime.disable_telemetry_events()
    return onnxruntime
