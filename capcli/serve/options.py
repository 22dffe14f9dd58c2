"""How the server listens, and how much it takes: one definition for the command line and the API."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from capcli.errors import UsageError, system_reason
from capcli.options import check, option
from capcli.web.listening import LOCAL

PORT = 8766

SHORTEST_TOKEN = 16
"""Characters; what is shorter can be guessed."""


@dataclass(frozen=True)
class ServeOptions:
    """Where the server listens, who may ask, and its limits; raises UsageError for a value outside its range."""

    host: str = option(
        LOCAL, "Listen on this address; any but this computer's own needs --token-file.", metavar="ADDRESS"
    )
    port: int = option(PORT, "Listen on this port; 0 is any free one.", least=0, most=65535)
    token_file: Path | None = option(
        None, "Answer only requests that bring the secret in this file, as Authorization: Bearer.", metavar="FILE"
    )
    queue: int = option(64, "Requests in hand at once; more are answered 429.", least=1, most=10_000)
    max_bytes: int = option(2**25, "Bytes of a request.", least=1024, most=2**31, shown="32 MiB")
    max_pixels: int = option(100_000_000, "Pixels of a picture.", least=1, most=2**31)
    max_pictures: int = option(16, "Pictures of a request.", least=1, most=1024)
    timeout: float = option(
        60.0, "Seconds in which a request must have arrived, and in which it is then answered.", least=0.1, most=3600.0
    )

    def __post_init__(self) -> None:
        check(self)

    def read_token(self) -> str | None:
        """The secret; None where there is none. Raises UsageError for a file without one."""
        if self.token_file is None:
            return None
        try:
            token = self.token_file.read_text(encoding="ascii").strip()
        except OSError as error:
            raise UsageError(f"{self.token_file}: {system_reason(error)}") from None
        except UnicodeDecodeError:
            raise UsageError(f"{self.token_file}: a token is letters and digits on one line") from None
        if len(token) < SHORTEST_TOKEN or len(token.split()) != 1:
            raise UsageError(f"{self.token_file}: a token is one line of at least {SHORTEST_TOKEN} characters")
        return token


@dataclass(frozen=True)
class OverlayOptions:
    """Whether heatmaps are drawn; raises UsageError for a value outside its range."""

    overlay: bool = option(False, "Also give each word's heatmap over the picture, a PNG in base64.")
    side: int = option(512, "Pixels of the longer side of an overlay at most.", least=16, most=2048)

    def __post_init__(self) -> None:
        check(self)
