"""From the plural of an English noun to its singular, by the rules of spelling."""

from __future__ import annotations

from collections.abc import Container, Iterator

_IRREGULAR = {
    "men": "man", "people": "person", "children": "child", "feet": "foot", "teeth": "tooth", "geese": "goose",
    "mice": "mouse", "oxen": "ox", "cacti": "cactus", "dice": "die",
}  # fmt: skip

_ENDINGS = (("ies", "y"), ("ves", "f"), ("ves", "fe"), ("s", ""), ("es", ""), ("ses", ""))


def singulars(noun: str) -> Iterator[str]:
    """What the singular of a lower-case noun may be, the likeliest first: of "leaves" leaf, leafe, leave and leav.

    Of several words the last one is taken. A noun that is no plural gives itself alone.
    """
    before, space, last = noun.rpartition(" ")
    if last.endswith("ss"):
        found = [last]
    elif last.endswith("men"):  # women, firemen
        found = [f"{last[:-2]}an"]
    elif last in _IRREGULAR:
        found = [_IRREGULAR[last]]
    else:
        found = [
            last[: -len(plural)] + singular
            for plural, singular in _ENDINGS
            if last.endswith(plural) and len(last) > len(plural) + 1
        ]
        found.append(last)
    yield from dict.fromkeys(before + space + word for word in found)


def known_form(noun: str, known: Container[str]) -> str | None:
    """The noun itself or else its singular, whichever is known; None if neither is."""
    return next((form for form in (noun, *singulars(noun)) if form in known), None)
