"""A file on another computer is told from one on a local disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from capcli.files import mounts

MOUNTS = r"""22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
31 22 0:29 / /srv rw - nfs4 server:/srv rw
32 31 0:30 / /srv/my\040disk rw - xfs /dev/vdb rw
"""


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/a/photos.db", None), ("/srv/photos.db", "nfs4"), ("/srv/my disk/photos.db", None), ("/srvant.db", None)],
)
def test_the_deepest_mount_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, expected: str | None
) -> None:
    (tmp_path / "mountinfo").write_text(MOUNTS)
    monkeypatch.setattr(mounts, "_MOUNTS", tmp_path / "mountinfo")
    assert mounts.network_of(Path(path)) == expected


def test_a_system_that_does_not_tell_has_local_disks_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounts, "_MOUNTS", tmp_path / "none")
    assert mounts.network_of(tmp_path) is None
