"""What capcli does not decode, and why."""

MAX_PIXELS = 2**27
"""The most pixels that are decoded at once: half a gigabyte at Pillow's four bytes each."""

NO_PICTURE = "is not a picture capcli can read"


class Refusal(Exception):  # noqa: N818 - a verdict, not a fault
    """A file that capcli does not decode; `str` is the reason, as `UnreadableImage` has it."""


class TooLarge(Refusal):
    """A picture of more pixels than are decoded."""
