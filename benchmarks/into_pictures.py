"""Whether `capcli apply` changes what it should in pictures, and nothing else, also where it is killed again and again.

usage: python benchmarks/into_pictures.py [--files N] [--kills N] [--seed N] [--keep DIR]

Makes pictures of eight kinds (JPEG, PNG, WebP, TIFF, HEIC, AVIF, GIF, and raw files, which get a sidecar) from the
photographs of examples/ and tests/everyday/images/: of many modes, animated and with several pages, with metadata of
cameras and of people, and under names that programs stumble over. Writes captions into them with the installed command,
kills it (SIGKILL) at random moments if asked to, and lets it come to its end. Then exiftool and Pillow compare every
picture with what it was, without any code of capcli's: texts, keywords, all other tags, the pixels of all frames, time
and mode. At the end `--undo`, killed as often, has to bring back every byte. The exit code is 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from machine import command, describe
from PIL import Image, ImageSequence

REPOSITORY = Path(__file__).parents[1]
KINDS = ("jpg", "png", "webp", "tif", "heic", "avif", "gif", "dng")
ODD_NAMES = (
    "-begin",
    "%d%f",
    "$@ &",
    " line\nbreak\n$x",
    "#sharp",
    "ünï 漢",
    os.fsdecode(b"byte \xe9"),
    "a'b\"c",
    "*?[x]",
)
FILES_AT_ONCE = 100
"""Pictures that one process of exiftool reads: starting it takes fifteen times as long as reading one."""

TEXTS = ("XMP-dc:Description", "XMP-iptcCore:AltTextAccessibility", "IPTC:Caption-Abstract")
ALL_TAGS = ("-config", "", "-j", "-G1:4", "-a", "-struct", "-n", "-u", "-b")
WRITTEN = re.compile(
    r"XMP-dc:(Description|Subject)|XMP-lr:HierarchicalSubject|XMP-iptcCore:AltTextAccessibility|IPTC:.*"
    r"|IFD0:ImageDescription"
)
FOLLOWS = re.compile(
    r"SourceFile|System:.*|ExifTool:.*|File:CurrentIPTCDigest|XMP-x:XMPToolkit|Photoshop:IPTCDigest|RIFF:WebP_Flags"
    r"|RIFF:(Copy1:)?Image(Width|Height)|GIF:GIFVersion|File:FileType"
    r"|QuickTime:MediaData(Offset|Size)?|.*:(StripOffsets|ThumbnailOffset)|Composite:.*"
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="leave the pictures in this folder")
    options = parser.parse_args()

    print(f"machine: {describe()}, exiftool {subprocess.check_output(['exiftool', '-ver'], text=True).strip()}")
    with tempfile.TemporaryDirectory() as name:
        wrong = list(prove(options.keep or Path(name), options.files, options.kills, random.Random(options.seed)))
    print("\n".join(wrong) or "nothing lost, nothing doubled, nothing else changed")
    sys.exit(bool(wrong))


def prove(folder: Path, files: int, kills: int, chance: random.Random) -> Iterator[str]:
    """Makes pictures, applies captions, undoes it; gives a line for whatever is wrong."""
    pictures = folder / "pictures"
    pictures.mkdir(parents=True)
    paths = make_pictures(pictures, files, chance)
    rows = folder / "rows.jsonl"
    captions = {path: f'The "{path.suffix[1:]}" of number {number}, é & 漢 <b>.' for number, path in enumerate(paths)}
    with rows.open("w", encoding="utf-8") as file:
        for path, caption in captions.items():
            row = {"path": str(path), "caption": caption, "keywords": ["dog", "animal|cat", "x, y"], "confidence": 0.5}
            file.write(json.dumps(row) + "\n")
    before = {path: State(path) for path in paths}
    tags = read_tags(paths)

    run = [command(), "apply", str(rows), "--into", "original", "--overwrite", "--quiet"]
    done = 0
    while done < kills:
        # Another mark each time, so that a kill falls on pictures that are being written and not on a look at them.
        done += is_killed([*run, "--mark", f"({done})"], chance.uniform(0.3, 0.6 + 0.045 * files))
    start = time.perf_counter()
    yield from end_of(run)
    seconds = time.perf_counter() - start
    print(
        f"{files} files of {len(KINDS)} kinds, {1000 * seconds / files:.0f} ms a file; {done} kills before", flush=True
    )

    raws = [path for path in paths if path.suffix == ".dng"]
    after = read_tags([path for path in paths if path not in raws])
    sidecars = read_tags([sidecar_of(path) for path in raws])
    for path in paths:
        if path in raws:
            yield from differences_of_raw(path, before[path], captions[path], sidecars[sidecar_of(path)])
        else:
            yield from differences(path, before[path], captions[path], tags[path], after[path])
    for path in raws:
        sidecar_of(path).unlink()

    journal = folder / f".{rows.name}.applied.jsonl"
    print(f"the journal has {journal.stat().st_size / files / 1024:.1f} KiB a file", flush=True)
    undo, done = [command(), "apply", str(rows), "--undo", "--quiet"], 0
    while done < kills and journal.exists():
        done += is_killed(undo, chance.uniform(0.2, 0.35))
    if journal.exists():
        yield from end_of(undo)
    print(f"put back; {done} kills before", flush=True)
    yield from (f"{path!r}: not put back" for path, state in before.items() if State(path) != state)
    found = {path for path in folder.rglob("*") if path.is_file()}
    yield from (f"{path!r}: left behind" for path in found - {*paths, rows})


def is_killed(run: Sequence[str], seconds: float) -> bool:
    """Kills a command after some seconds; whether it was still running."""
    with subprocess.Popen(run, stderr=subprocess.DEVNULL) as process:
        time.sleep(seconds)
        process.kill()
    return process.returncode < 0


def end_of(run: Sequence[str]) -> Iterator[str]:
    """Lets a command come to its end; gives a line if it fails."""
    ended = subprocess.run(run, stderr=subprocess.PIPE, text=True, check=False)
    if ended.returncode:
        yield f"exit code {ended.returncode}: {ended.stderr}"


class State:
    """The bytes, the time and the mode of a file, and its pixels."""

    def __init__(self, path: Path) -> None:
        content, state = path.read_bytes(), path.stat()
        self.hash = hashlib.sha256(content).hexdigest()
        self.mode, self.time, self.links = state.st_mode, state.st_mtime_ns, state.st_nlink
        self.pixels = hash_frames(path)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, State) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]


def hash_frames(path: Path) -> str:
    digest = hashlib.sha256()
    with Image.open(path) as image:
        for frame in ImageSequence.Iterator(image):
            digest.update(f"{frame.mode} {frame.size} {frame.getpalette()} {frame.info.get('duration')}".encode())
            digest.update(frame.tobytes())
    return digest.hexdigest()


def sidecar_of(raw: Path) -> Path:
    alone = not any(raw.with_suffix(f".{kind}").exists() for kind in KINDS if kind != "dng")
    return raw.with_name(f"{raw.stem if alone else raw.name}.xmp")


def read_tags(paths: Sequence[Path]) -> dict[Path, dict[str, Any]]:
    """What exiftool says of files, with file names as the system has them."""
    tags: list[dict[str, Any]] = []
    for start in range(0, len(paths), FILES_AT_ONCE):
        asked: list[str | Path] = ["exiftool", "-q", *ALL_TAGS, *paths[start : start + FILES_AT_ONCE]]
        done = subprocess.run(asked, capture_output=True, check=True)
        tags += json.loads(done.stdout.decode(errors="replace"))
    return dict(zip(paths, tags, strict=True))


def differences(path: Path, before: State, caption: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    """Lines for whatever is wrong with a picture that has a caption now."""
    state = State(path)
    if state.pixels != before.pixels:
        yield f"{path!r}: other pixels"
    if (state.mode, state.time) != (before.mode, before.time):
        yield f"{path!r}: another mode or time"
    wanted = TEXTS if path.suffix in (".jpg", ".tif") else TEXTS[:2]
    yield from (f"{path!r}: {name} is {new.get(name)!r}" for name in wanted if new.get(name) != caption)
    subjects = new.get("XMP-dc:Subject", [])
    if sorted(subjects) != sorted({*subjects, "dog", "cat", "x, y"}):
        yield f"{path!r}: keywords {subjects}"
    if "animal|cat" not in new.get("XMP-lr:HierarchicalSubject", []):
        yield f"{path!r}: no hierarchy"
    if new.get("IFD0:ImageDescription", caption) != caption:
        yield f"{path!r}: the description in EXIF is {new['IFD0:ImageDescription']!r}"
    kept = (name for name in old.keys() | new.keys() if not WRITTEN.fullmatch(name) and not FOLLOWS.fullmatch(name))
    yield from (
        f"{path!r}: {name} was {old.get(name)!r}, is {new.get(name)!r}"
        for name in kept
        if old.get(name) != new.get(name)
    )
    for name in (key for key in old if key.startswith("IPTC:")):
        if name not in ("IPTC:Caption-Abstract", "IPTC:Keywords", "IPTC:CodedCharacterSet") and old[name] != new.get(
            name
        ):
            yield f"{path!r}: {name} was {old[name]!r}, is {new.get(name)!r}"


def differences_of_raw(path: Path, before: State, caption: str, sidecar: dict[str, Any]) -> Iterator[str]:
    if State(path) != before:
        yield f"{path!r}: a raw file was changed"
    yield from (f"{path!r}: {name} is {sidecar.get(name)!r}" for name in TEXTS[:2] if sidecar.get(name) != caption)


def make_pictures(folder: Path, count: int, chance: random.Random) -> list[Path]:
    """Writes pictures of all kinds in turn, the same ones for the same chance."""
    import pillow_heif

    pillow_heif.register_heif_opener()
    sources = sorted([*(REPOSITORY / "examples").glob("*.jpg"), *(REPOSITORY / "tests/everyday/images").glob("*.jpg")])
    paths = []
    for number in range(count):
        kind, turn = KINDS[number % len(KINDS)], number // len(KINDS)
        stem = ODD_NAMES[turn] if turn < len(ODD_NAMES) else f"{number:04}"
        with Image.open(sources[number % len(sources)]) as source:
            photograph = source.convert("RGB")
        photograph.thumbnail((chance.randint(64, 320), 320))
        path = folder / f"{stem}.{kind}"
        save(photograph, path, turn)
        paths.append(path)
    turns = {path: number // len(KINDS) for number, path in enumerate(paths) if path.suffix != ".dng"}
    add_metadata({path: turn for path, turn in turns.items() if turn % 3})
    for number, path in enumerate(paths):
        os.utime(path, ns=(10**18, 10**18 + number * 10**9 + 123456789))
        path.chmod(0o640)
    return paths


def save(photograph: Image.Image, path: Path, turn: int) -> None:
    """Writes a photograph in one of the ways of its kind."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "A camera", 1 + turn % 8
    frames: dict[str, Any] = {"save_all": True, "append_images": [photograph.rotate(90), photograph.rotate(180)]}
    ways: dict[str, list[tuple[str, dict[str, Any]]]] = {
        "jpg": [("RGB", {"exif": exif}), ("L", {}), ("CMYK", {}), ("RGB", {"progressive": True})],
        "png": [("RGB", {}), ("RGBA", {"exif": exif}), ("P", {}), ("I;16", {}), ("L", frames)],
        "webp": [("RGB", {}), ("RGBA", {"lossless": True}), ("RGB", {"exif": exif}), ("RGB", frames)],
        "tif": [("RGB", {}), ("L", {"compression": "tiff_lzw"}), ("CMYK", {}), ("RGB", frames)],
        "heic": [("RGB", {"exif": exif.tobytes()}), ("RGBA", {}), ("RGB", {"quality": 40})],
        "avif": [("RGB", {"exif": exif}), ("RGBA", {}), ("RGB", {"speed": 10})],
        "gif": [("P", {}), ("RGB", {**frames, "duration": [50, 90, 130], "loop": 0}), ("L", {})],
        "dng": [("RGB", {"format": "TIFF"})],
    }
    mode, options = ways[path.suffix[1:]][turn % len(ways[path.suffix[1:]])]
    image = photograph.convert("L").convert("I;16") if mode == "I;16" else photograph.convert(mode)
    image.save(path, **options)


def add_metadata(turns: Mapping[Path, int]) -> None:
    """Writes into pictures what people and other programs leave there, by one process of exiftool for all."""
    copies = {path: path.with_name(f"unnamed{number}") for number, path in enumerate(turns)}
    asked: list[str] = []
    for path, turn in turns.items():
        shutil.move(path, copies[path])
        asked += [*metadata_of(path, turn), str(copies[path]), "-execute"]
    subprocess.run(
        ["exiftool", *asked, "-common_args", "-q", "-q", "-m", "-overwrite_original"],
        check=False,
        stderr=subprocess.DEVNULL,
    )
    for path, copy in copies.items():
        shutil.move(copy, path)


def metadata_of(path: Path, turn: int) -> list[str]:
    """Tags of one picture, as options of exiftool."""
    values = [
        ["-XMP-dc:Title=A title", "-XMP-xmp:Rating=4", "-XMP-dc:Description=Old words", "-XMP-dc:Description-de=Alte"],
        ["-XMP-dc:Subject=holiday", "-XMP-dc:Subject=dog", "-GPSLatitude=47.1", "-GPSLatitudeRef=N", "-Artist=Ünal"],
        [
            "-XMP-dc:Creator=Somebody",
            "-XMP-photoshop:City=Brno",
            "-EXIF:ImageDescription=Former",
            "-EXIF:UserComment=x",
        ],
    ][turn % 3]
    if path.suffix in (".jpg", ".tif"):
        values += [["-IPTC:City=Brno", "-IPTC:Keywords=dog"], ["-IPTC:ObjectName=Ä", "-CodedCharacterSet=UTF8"]][
            turn % 2
        ]
    return values


if __name__ == "__main__":
    main()
