"""PyAV, which is there only with the extra `video`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from capcli.errors import UsageError

if TYPE_CHECKING:
    from types import ModuleType


def import_av() -> ModuleType:
    """The module `av`; raises UsageError, which says what to install, where it is not there."""
    try:
        import av
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "av":
            raise
        raise UsageError('films and cameras need PyAV: pip install "capcli[video]"') from None
    return av
