"""Names, places and other words of a picture's metadata in its text, by templates that the user writes."""

from __future__ import annotations

import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from capcli.errors import UsageError, system_reason
from capcli.metadata.people import put_name
from capcli.metadata.tags import Tags
from capcli.options import near_names
from capcli.output.naming import absolute

FIELDS = {
    "caption": "the caption",
    "named": "the caption with the name of the face in the place of its one person",
    "name": "the name of the face",
    "location": "the place within the city",
    "city": "the city",
    "state": "the state or province",
    "country": "the country",
    "folder": "the name of the picture's folder",
    "existing": "the former description",
}
"""What templates may hold, and what that is."""

_TAGS = {
    "location": ("XMP-iptcCore:Location", "IPTC:Sub-location"),
    "city": ("XMP-photoshop:City", "IPTC:City"),
    "state": ("XMP-photoshop:State", "IPTC:Province-State"),
    "country": ("XMP-photoshop:Country", "IPTC:Country-PrimaryLocationName"),
}
_REGIONS = "XMP-mwg-rs:RegionInfo"
"""Metadata Working Group, Guidelines for Handling Image Metadata 2.0, section 5.9."""


class Context:
    """Templates, of which the first counts whose every field a picture has; where none does, its text is the caption.

    Args:
        file: a template on each line, such as `{named} ({city}, {country})`; lines that are blank or begin with # are
            left out. Braces of the text itself are written twice.

    Raises:
        UsageError: it cannot be read, a template is broken (with its line), or it holds none.
    """

    def __init__(self, file: Path) -> None:
        try:
            lines = file.read_text(encoding="utf-8-sig").splitlines()
        except OSError as error:
            raise UsageError(f"{file}: {system_reason(error)}") from None
        except UnicodeDecodeError:
            raise UsageError(f"{file}: not UTF-8 text") from None
        self._templates = [
            _parse(template, f"{file}, line {number}")
            for number, line in enumerate(lines, 1)
            if (template := line.strip()) and not template.startswith("#")
        ]
        if not self._templates:
            raise UsageError(f"{file}: holds no template, such as {{caption}} ({{city}})")

    def text(self, caption: str, picture: Path, tags: Tags, former: str | None) -> str:
        """The text of a picture.

        A description that holds the caption already is not joined by it again.

        Args:
            caption: its caption.
            picture: its path.
            tags: what it says of names and places.
            former: the description in whose place the text goes.
        """
        known = _fields(caption, picture, tags, former)
        for template, fields in self._templates:
            if fields <= known.keys():
                captions = [known[field] for field in fields & {"caption", "named"}]
                if "existing" in fields and any(text in known["existing"] for text in captions):
                    return known["existing"]
                return template.format_map(known)
        return caption


def _parse(template: str, where: str) -> tuple[str, set[str]]:
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise UsageError(f"{where}: {str(error).lower()}; braces of the text itself are written twice") from None
    fields = set()
    for _, name, form, conversion in parts:
        if name is None:
            continue
        if name in FIELDS and (form or conversion):
            mark = "!" if conversion else ":"
            raise UsageError(f"{where}: a field takes no {mark} behind its name; write {{{name}}}")
        if name not in FIELDS:
            near = near_names(name, FIELDS, 1)
            hint = f"did you mean {{{near[0]}}}?" if near else f"there are {', '.join(FIELDS)}"
            raise UsageError(f"{where}: no field is called {{{name}}}; {hint}")
        fields.add(name)
    return template, fields


def _fields(caption: str, picture: Path, tags: Tags, former: str | None) -> Mapping[str, str]:
    """What is known of a picture; nothing stands for what is not."""
    found = {"caption": caption, "folder": absolute(picture).parent.name, "name": _only_name(tags)}
    found["named"] = put_name(caption, found["name"]) if found["name"] else None
    found |= {field: next(filter(None, map(tags.text, names)), None) for field, names in _TAGS.items()}
    found["existing"] = former
    return {field: text for field, text in found.items() if text}


def _only_name(tags: Tags) -> str | None:
    """The name of the face, where the picture has exactly one region of a face."""
    regions: Any = tags.structure(_REGIONS).get("RegionList")
    faces = (
        [region for region in regions if isinstance(region, dict) and region.get("Type") == "Face"] if regions else []
    )
    name = faces[0].get("Name") if len(faces) == 1 else None
    return str(name).strip() or None if name is not None else None
