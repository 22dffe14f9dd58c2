"""The errors a user can cause. Each carries one line that says what happened and what to do."""

from __future__ import annotations

STEERING = {
    code: repr(chr(code))[1:-1]
    for code in (*range(0x20), *range(0x7F, 0xA0), *range(0x2028, 0x202F), *range(0x2066, 0x206A))
}
"""What steers a terminal, with how Python writes it: control characters, ends of lines, and what turns around the order
of the letters that follow.
"""


def system_reason(error: OSError | ValueError) -> str:
    """Why the system did not do it, one lower-case clause: "permission denied", "no space left on device".

    A ValueError is what Python raises for a path that no system can have, such as one with a null byte.
    """
    return (getattr(error, "strerror", None) or str(error)).lower()


class CapcliError(Exception):
    """Base of every error capcli raises on purpose; `str(error)` is one line, fit for a terminal."""

    exit_code = 1

    def __str__(self) -> str:
        return super().__str__().translate(STEERING)  # a path may hold anything


class UsageError(CapcliError):
    """Something asked for is impossible: a missing path, an unknown device, a recipe that contradicts itself."""

    exit_code = 2


class ModelError(UsageError):
    """A model file that cannot be used: missing, truncated, of another program, or at odds with its config."""


class DatasetError(UsageError):
    """A dataset folder or file that cannot be read."""


class UnreadableImage(CapcliError):  # noqa: N818 - the field's word for it, and it reads as a value as often as it is raised
    """One picture that cannot be captioned.

    Attributes:
        path: the file as the user named it.
        reason: one lower-case clause without a final stop, e.g. "is empty (0 bytes)".
    """

    def __init__(self, path: object, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason

    def __reduce__(self) -> tuple[type[UnreadableImage], tuple[object, str]]:
        # By default only the message would go to another process, which the constructor does not take.
        return type(self), (self.path, self.reason)


class TooManyPixels(UnreadableImage):
    """One picture that is larger than what is decoded."""


class UnreadableFilm(CapcliError):  # noqa: N818 - as above
    """A film, or a camera, that cannot be captioned.

    Attributes:
        name: the file or the camera as the user named it.
        reason: one lower-case clause without a final stop, e.g. "holds sound and no moving picture".
    """

    def __init__(self, name: object, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason
