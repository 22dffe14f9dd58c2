"""What a person may have made of a caption, and who is no person."""

from __future__ import annotations

STATUSES = ("accepted", "edited", "rejected", "flagged")
"""What a person may have made of a caption; nothing of one that nobody has looked at."""

KEPT = ("accepted", "edited", "flagged")
"""Statuses of captions that no run replaces."""

CHECKED = ("accepted", "edited")
"""Statuses of captions that a person found right, or made so."""

WITHHELD = ("rejected", "flagged")
"""Statuses of captions that go into no picture and no sidecar."""

PROGRAM = "capcli"
"""Who changes what a run changes, in the history; other names are of people."""
