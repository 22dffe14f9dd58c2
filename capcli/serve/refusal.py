"""Why a request has no answer: a status and one sentence, as JSON."""

from __future__ import annotations

from capcli.errors import CapcliError, TooManyPixels, UnreadableImage, UsageError
from capcli.files.json import dumps

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}

_CODES = {
    400: "bad_request",
    401: "wrong_token",
    403: "forbidden",
    404: "not_found",
    405: "wrong_method",
    408: "too_slow",
    413: "too_large",
    415: "wrong_type",
    421: "wrong_host",
    422: "unreadable_picture",
    429: "too_many_requests",
    500: "fault",
    503: "unavailable",
}
"""Names of the statuses, for programs."""


class Refused(Exception):  # noqa: N818 - it is an answer
    """A request that is not answered as its client hoped.

    Attributes:
        status: of HTTP.
        sentence: what happened and what to do.
        retry_after: seconds after which it may go better; None where it will not.
        closes: whether the connection is of no use any more.
    """

    def __init__(self, status: int, sentence: str, *, retry_after: int | None = None, closes: bool = False) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.retry_after, self.closes = status, sentence, retry_after, closes

    @property
    def content(self) -> bytes:
        """What the client gets, in the shape that OpenAI's clients read."""
        kind = _TYPES.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        error = {"message": self.sentence, "type": kind, "param": None, "code": _CODES.get(self.status)}
        return dumps({"error": error})

    @property
    def headers(self) -> dict[str, str]:
        """Those beside the content's."""
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return headers | ({"Connection": "close"} if self.closes else {})


class ClientLeft(Exception):  # noqa: N818 - as above
    """Nobody waits for the answer any more."""


def refuse(error: CapcliError) -> Refused:
    """What a client hears of an error."""
    return Refused(400 if isinstance(error, UsageError) else 503, str(error))


def refuse_picture(name: str, error: UnreadableImage) -> Refused:
    """What a client hears of a picture that cannot be read."""
    return Refused(413 if isinstance(error, TooManyPixels) else 422, f"picture {name} {error.reason}")
