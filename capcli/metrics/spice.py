"""SPICE (Anderson et al. 2016), computed by its authors' program."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from capcli.errors import CapcliError
from capcli.metrics.java import VERSIONS, Unavailable, find_jar, find_java
from capcli.metrics.statistics import Means, Tokens

_DOWNLOAD = "from pycocoevalcap.spice.get_stanford_models import get_stanford_models as get; get()"
_PARSER = ("stanford-corenlp-3.6.0.jar", "stanford-corenlp-3.6.0-models.jar")


def spice_statistics(references: Sequence[Sequence[Tokens]], hypotheses: Sequence[Tokens]) -> Means:
    """SPICE of each image, from 0 to 1. The program parses every sentence, at some dozens a second.

    Args:
        references: for each image its reference sentences as tokens, at least one each.
        hypotheses: one sentence for each image, in the same order.

    Raises:
        ValueError: an image without references, or not as many hypotheses as images.
        Unavailable: there is no Java, no pycocoevalcap, or not the parser that the latter downloads.
        CapcliError: the program fails.
    """
    if not all(references):
        raise ValueError("SPICE needs at least one reference for each image")
    jar, java = find_jar(f"spice/spice-{VERSIONS['SPICE']}.jar"), find_java()
    if not all((jar.parent / "lib" / name).is_file() for name in _PARSER):
        raise Unavailable(f"needs Stanford CoreNLP 3.6.0, which `python -c '{_DOWNLOAD}'` fetches")
    captions = [
        {"image_id": image, "test": _sentence(words), "refs": [_sentence(reference) for reference in sentences]}
        for image, (sentences, words) in enumerate(zip(references, hypotheses, strict=True))
    ]
    with tempfile.TemporaryDirectory(prefix="capcli-spice-") as folder:
        source, target = Path(folder, "captions.json"), Path(folder, "scores.json")
        source.write_text(json.dumps(captions), encoding="utf-8")
        command: list[str | Path] = [java, "-Xmx8G", "-jar", jar, source, "-out", target, "-silent"]
        try:
            subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)
            results = json.loads(target.read_text(encoding="utf-8"))
            values = {result["image_id"]: float(result["scores"]["All"]["f"]) for result in results}
            return Means(("SPICE",), np.array([values[image] for image in range(len(captions))]).reshape(-1, 1))
        except subprocess.CalledProcessError as error:
            lines = error.stderr.decode(errors="replace").strip().splitlines()
            reason = lines[-1].strip() if lines else f"Java ended with exit code {error.returncode}"
        except OSError as error:
            reason = str(error)
        except (ValueError, LookupError, TypeError):
            reason = "its scores can not be read"
    raise CapcliError(f"SPICE failed ({reason}); without --spice it is left out")


def _sentence(words: Tokens) -> str:
    return " ".join(map(str, words))
