"""Which files lie on another computer."""

from __future__ import annotations

import os
import re
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
_NETWORK = re.compile(r"nfs|nfs4|cifs|smb\w*|ncpfs|afs|9p|fuse\.sshfs|fuse\.rclone|davfs")


def network_of(path: Path) -> str | None:
    """The network file system that a file is on, or would be, such as nfs4; None for a local disk."""
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    place = os.path.realpath(path)
    found, kind = "", None
    for line in lines:
        # Field 5 is the place, with octal escapes; behind a lone hyphen comes the type.
        before, _, after = line.partition(" - ")
        folder = re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), before.split()[4])
        inside = place == folder or place.startswith(os.path.join(folder, ""))  # noqa: PTH118 - ends with a separator
        if inside and len(folder) >= len(found):
            found, kind = folder, after.split()[0]
    return kind if kind and _NETWORK.fullmatch(kind) else None
