from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def quick_readers() -> None:
    """Has pictures read by the processes that users have."""
