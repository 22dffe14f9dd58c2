"""Files of captions to score."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path


def write_captions(path: Path, captions: Mapping[str, str]) -> None:
    """Writes a caption of each image as JSON lines."""
    path.write_text("".join(json.dumps({"image": name, "caption": text}) + "\n" for name, text in captions.items()))
