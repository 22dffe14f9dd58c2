"""Kinds of files: which hold pictures that capcli reads, and which it leaves out, and why."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from capcli.errors import UsageError


def _endings(names: str) -> frozenset[str]:
    return frozenset(f".{name}" for name in names.split())


EXTENSIONS = _endings(
    "jpg jpeg jpe jfif jif jps pjpeg mpo jp2 j2k j2c jpc jpf jpx png apng gif webp avif avifs heic heics heif heifs "
    "hif tif tiff bmp dib tga icb vda qoi ppm pgm pbm pnm pfm psd ico cur icns dds pcx dcx sgi rgb rgba bw ras xbm xpm "
    "pcd pxr fits fli flc"
)
"""Endings of pictures that capcli reads, in lower case."""

_RAW = "raw files: export them as JPEG"
_VIDEO = "videos: caption them one by one, as in capcli caption film.mp4"
_KINDS_LEFT_OUT = {
    _RAW: _endings(
        "3fr ari arw bay cap cr2 cr3 crw dcr dcs dng drf eip erf fff gpr iiq k25 kdc mdc mef mos mrw nef nrw orf pef "
        "ptx r3d raf raw rw2 rwl rwz sr2 srf srw x3f"
    ),
    "drawings: export them as PNG": _endings("svg svgz ai eps ps wmf emf cdr"),
    "JPEG XL: convert them to JPEG or PNG": _endings("jxl"),
    "formats that capcli cannot read: export them as JPEG or PNG": _endings(
        "psb xcf kra ora clip afphoto exr hdr rgbe jxr wdp hdp bpg flif jls dpx cin dcm djvu pct pict"
    ),
    "documents: export their pages as JPEG or PNG": _endings("pdf xps"),
    _VIDEO: _endings("mov mp4 m4v avi mkv webm mts m2ts mpg mpeg 3gp wmv flv insv"),
}
LEFT_OUT = {ending: why for why, endings in _KINDS_LEFT_OUT.items() for ending in endings}
"""Why capcli leaves out files with these endings in folders, and what to do."""

_PICTURE = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n|GIF8[79]a|RIFF....WEBP|BM....\0\0\0\0|II[*+]\0|MM\0[*+]"
    rb"|\0...ftyp(?:avi[fs]|hei|hev|mif1|msf1)|\0\0\0\x0cjP  |\xff\x4f\xff\x51|8BPS\0\x01|\0\0\x01\0[\x01-\x40]\0"
    rb"|qoif\0|P[1-6]\s+(?:#[^\n]*\n\s*)*[0-9]+\s+[0-9]+\s|DDS \x7c\0|\x01\xda[\0\x01][\x01\x02]",
    re.DOTALL,
)

_FILM = (
    rb"....ftyp|....(?:moov|mdat|wide)|\x1a\x45\xdf\xa3|RIFF....AVI |FLV\x01|\x30\x26\xb2\x75\x8e\x66\xcf\x11|OggS\0"
    rb"|\0\0\x01[\xb3\xba]|\x06\x0e\x2b\x34\x02\x05\x01\x01|YUV4MPEG2 |\x47.{187}\x47.{187}\x47|.{4}\x47.{191}\x47"
)
"""MP4 and QuickTime, Matroska and WebM, AVI, Flash, Windows Media, Ogg, MPEG, MXF, Y4M, transport streams.

It is seldom needed, and so not compiled before.
"""

_ENDING = re.compile(r"\.(?=.*[^\W\d_])\S+")

START = 512
"""Bytes from which a file's kind can be known."""


def is_picture(start: bytes) -> bool:
    """Whether a file that begins so is a picture, as far as its first bytes say."""
    return _PICTURE.match(start) is not None


def is_film(start: bytes) -> bool:
    """Whether a file that begins so may be a film, as far as its first bytes say; sound alone begins so, too."""
    return re.match(_FILM, start, re.DOTALL) is not None and not is_picture(start)


def refuse_pictures(path: Path, written: str = "captions") -> None:
    """Raises UsageError where what is written to `path` would take the place of a picture or a film, by its name or by
    what is there.
    """
    text = f"and {written} would take its place; name another file"
    if path.suffix.lower() in EXTENSIONS or is_raw(path.name):
        raise UsageError(f"{path} has the name of a picture, {text}")
    if is_video(path.name):
        raise UsageError(f"{path} has the name of a film, {text}")
    # Whatever it is called, and by whichever link it is found among the pictures.
    start = b""
    with suppress(OSError, ValueError):  # writing there says why
        if path.is_file():  # a pipe would lose what is read of it
            with path.open("rb") as file:
                start = file.read(START)
    if is_picture(start):
        raise UsageError(f"{path} holds a picture, {text}")
    # Words may look like a film where they have some letters at the right places.
    if b"\0" in start and is_film(start):
        raise UsageError(f"{path} holds a film, {text}")


def ending_of(name: str) -> str:
    """The ending of a file's name, in lower case and with its dot; "" if it has none, as "Beach" and "5.12.2019"."""
    ending = split_ending(name)[1].lower()
    return ending if ending in EXTENSIONS or _ENDING.fullmatch(ending) else ""


def split_ending(name: str) -> tuple[str, str]:
    """A file's name without what follows its last dot, and that with the dot, as pathlib has stem and suffix.

    A Path takes ten times as long to make, and a folder may have very many names.
    """
    place = name.rfind(".")
    return (name[:place], name[place:]) if 0 < place < len(name) - 1 else (name, "")


def is_raw(name: str) -> bool:
    """Whether a file is a camera's raw file by its name."""
    return LEFT_OUT.get(ending_of(name)) == _RAW


def is_video(name: str) -> bool:
    """Whether a file is a video by its name."""
    return LEFT_OUT.get(ending_of(name)) == _VIDEO


def is_film_file(path: Path) -> bool:
    """Whether a file is a film by its name, or by its first bytes where its name is no picture's."""
    if is_video(path.name):
        return True
    if ending_of(path.name) in (EXTENSIONS | LEFT_OUT.keys()):
        return False
    with suppress(OSError, ValueError):  # which reading it reports
        if path.is_file():  # opening a pipe waits for a writer
            with path.open("rb", buffering=0) as file:
                return is_film(file.read(START))
    return False
