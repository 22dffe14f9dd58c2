"""Pages that stand alone: files of HTML or SVG, made from templates, that fetch nothing and can be sent to anybody."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from functools import cache
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

# A browser shows control characters and halves of characters, such as the undecodable bytes of a name, as it likes.
_UNSHOWN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def render(template: str, **values: object) -> bytes:
    """A whole file from a template of the package.

    Args:
        template: its path in the package, such as `heatmap/page.html`; a page extends `output/page.html`.
        values: what the template names. Texts are escaped where they are written; what `fragment` made is not.

    Returns:
        UTF-8. Where text has no character, as for an undecodable byte of a name, stands U+FFFD.
    """
    return _UNSHOWN.sub("\ufffd", fragment(template, **values)).encode()


def fragment(template: str, **values: object) -> Markup:
    """A part of a page from a template of the package; takes what `render` takes."""
    return Markup(_environment().get_template(template).render(values))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(read_source),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(source=lambda name: Markup(read_source(name)), digest=_digest)
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    return environment


def read_source(name: str) -> str:
    """The text of a file of the package, such as `output/page.css`."""
    return files("capcli").joinpath(name).read_text(encoding="utf-8")


def _digest(name: str) -> str:
    """The hash of a script by which a page's policy allows it."""
    return base64.b64encode(hashlib.sha256(read_source(name).encode()).digest()).decode()


def jpeg(picture: Image.Image, quality: int) -> bytes:
    """An RGB picture as JPEG, without what the file that it comes from says about it."""
    file = io.BytesIO()
    # Pillow would repeat the comment of that file, which may be long, or meant for nobody else.
    picture.save(file, "JPEG", quality=quality, optimize=True, comment="")
    return file.getvalue()


def data_uri(content: bytes, kind: str = "image/jpeg") -> str:
    """A file as an address that holds it whole."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
