"""Files beside the pictures: none is shared, none is lost, and no picture is touched."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Caption = Callable[..., "subprocess.CompletedProcess[bytes]"]
MakePictures = Callable[[Path, int], "list[Path]"]

needs_exiftool = pytest.mark.skipif(
    not shutil.which("exiftool"), reason="exiftool is not installed (Debian: libimage-exiftool-perl)"
)


@pytest.fixture
def photos(make_pictures: MakePictures, tmp_path: Path) -> Path:
    """A folder with two pictures of one stem, and two with another in folders of their own."""
    photos = tmp_path / "photos"
    paths = make_pictures(photos, 4)
    (photos / "deep" / "er").mkdir(parents=True)
    for path, name in zip(paths, ("a.jpg", "a.png", "deep/b.png", "deep/er/b.png"), strict=True):
        path.rename(photos / name)
    return photos


def states(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Content and time of all pictures."""
    pictures = [path for path in folder.rglob("*") if path.suffix in (".jpg", ".png")]
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in pictures}


def others(folder: Path) -> list[str]:
    """All files that are no pictures."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in (".jpg", ".png")
    )


def exiftool(*arguments: object) -> Any:
    done = subprocess.run(["exiftool", *map(str, arguments)], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)[0] if "-j" in arguments else None


@pytest.mark.parametrize("kind", ["txt", "json", "xmp"])
@pytest.mark.parametrize("apart", [False, True], ids=["beside", "in a folder of their own"])
def test_every_picture_has_a_sidecar_of_its_own(
    caption: Caption, photos: Path, tmp_path: Path, kind: str, apart: bool
) -> None:
    before = states(photos)
    place = tmp_path / "said" if apart else photos
    where = ["--sidecar-dir", place] if apart else []
    done = caption("photos", "-r", "--sidecar", kind, *where, "--format", "jsonl")
    assert done.returncode == 0
    # Of folders that are not capcli's alone, nothing records what made them.
    record = [f".capcli-{kind}.origin.json"] if apart else []
    assert others(place) == sorted([*record, *(f"{name}.{kind}" for name in ("a.jpg", "a.png", "deep/b", "deep/er/b"))])
    assert states(photos) == before
    captions = [json.loads(line)["caption"] for line in done.stdout.splitlines()]
    contents = [(place / f"{name}.{kind}").read_text("utf-8") for name in ("a.jpg", "a.png", "deep/b", "deep/er/b")]
    for sentence, content in zip(captions, contents, strict=True):
        assert json.dumps(sentence) in content if kind == "json" else sentence in content


def test_sidecars_of_several_kinds_are_written_beside_each_other(caption: Caption, photos: Path) -> None:
    done = caption("photos", "-r", "--sidecar", "txt", "--sidecar", "xmp", "--format", "jsonl")
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 4)
    names = ("a.jpg", "a.png", "deep/b", "deep/er/b")
    assert others(photos) == sorted(f"{name}.{kind}" for name in names for kind in ("txt", "xmp"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["txt", "json", "xmp"])
def test_captions_that_are_there_are_kept_unless_told_otherwise(caption: Caption, photos: Path, kind: str) -> None:
    asked = ["photos", "-r", "--sidecar", kind]
    caption(*asked)
    first = photos / f"a.jpg.{kind}"
    kept = first.read_bytes().replace(b"A picture of ", b"My own words on ")
    first.write_bytes(kept)

    refused = caption(*asked)
    assert (refused.returncode, refused.stdout) == (2, b"")
    assert refused.stderr.startswith(b"capcli: error: 4 of 4 pictures have captions in their sidecars already")
    assert caption(*asked, "--resume").stderr == b"capcli: captioned 0, skipped 4, failed 0\n"
    assert first.read_bytes() == kept
    assert caption(*asked, "--overwrite").returncode == 0
    assert b"My own words on" not in first.read_bytes()


def test_a_picture_that_fails_gets_no_sidecar(caption: Caption, photos: Path) -> None:
    (photos / "a.png").write_bytes(b"no picture")
    done = caption("photos", "-r", "--sidecar", "txt", "--errors", "errors.jsonl")
    assert done.returncode == 1
    assert others(photos) == ["a.jpg.txt", "deep/b.txt", "deep/er/b.txt"]
    assert json.loads((photos.parent / "errors.jsonl").read_bytes())["path"] == str(Path("photos", "a.png"))


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write everywhere, Windows asks else")
def test_a_folder_that_may_not_be_written_fails_its_pictures_only(caption: Caption, photos: Path) -> None:
    (photos / "deep").chmod(0o500)
    try:
        done = caption("photos", "-r", "--sidecar", "txt", "--format", "jsonl")
    finally:
        (photos / "deep").chmod(0o700)
    assert done.returncode == 1
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert ["permission denied" in row.get("error", "") for row in rows] == [False, False, True, False]
    assert others(photos) == ["a.jpg.txt", "a.png.txt", "deep/er/b.txt"]


def test_a_sidecar_of_another_program_is_left_as_it_is(caption: Caption, photos: Path) -> None:
    (photos / "a.jpg.json").write_text('{"rating": 5}')
    (photos / "deep" / "b.xmp").write_text("<not closed")
    for kind, sidecar in (("json", "a.jpg.json"), ("xmp", "deep/b.xmp")):
        content = (photos / sidecar).read_bytes()
        done = caption("photos", "-r", "--sidecar", kind)
        assert done.returncode == 1
        assert b"and was left as it is" in done.stderr
        assert (photos / sidecar).read_bytes() == content


@needs_exiftool
def test_exiftool_reads_what_is_written(caption: Caption, photos: Path) -> None:
    done = caption("photos/deep", "--sidecar", "xmp", "--format", "jsonl")
    text = json.loads(done.stdout)["caption"]
    tags = exiftool("-j", "-validate", "-warning", "-Description", "-AltTextAccessibility", photos / "deep" / "b.xmp")
    assert (tags["Description"], tags["AltTextAccessibility"], tags["Validate"]) == (text, text, "OK")


@needs_exiftool
@pytest.mark.parametrize("name", ["a.jpg", "deep/b.png"])
def test_a_caption_joins_what_exiftool_wrote(caption: Caption, photos: Path, name: str) -> None:
    sidecar = photos / ("a.jpg.xmp" if name == "a.jpg" else "deep/b.xmp")
    before = states(photos)
    exiftool(sidecar, "-Rating=4", "-Subject=alpha", "-Subject=beta", "-Title=Mine", "-Location=Brno")
    done = caption(photos / name, "--sidecar", "xmp", "--format", "jsonl")
    text = json.loads(done.stdout)["caption"]
    tags = exiftool("-j", sidecar)
    assert (tags["Rating"], tags["Subject"], tags["Title"], tags["Location"]) == (4, ["alpha", "beta"], "Mine", "Brno")
    assert (tags["Description"], tags["AltTextAccessibility"]) == (text, text)
    assert states(photos) == before


@needs_exiftool
def test_words_of_a_person_are_not_replaced(caption: Caption, photos: Path) -> None:
    sidecar = photos / "deep" / "b.xmp"
    exiftool(sidecar, "-XMP-dc:Description=My own words", "-XMP-dc:Description-de=Meine Worte")
    done = caption("photos/deep", "--sidecar", "xmp", "--format", "jsonl")
    tags = exiftool("-j", "-Description", "-Description-de", "-AltTextAccessibility", sidecar)
    assert (tags["Description"], tags["Description-de"]) == ("My own words", "Meine Worte")
    assert tags["AltTextAccessibility"] == json.loads(done.stdout)["caption"]
    caption("photos/deep", "--sidecar", "xmp", "--overwrite")
    tags = exiftool("-j", "-Description", "-Description-de", sidecar)
    assert (tags["Description"], tags["Description-de"]) == (json.loads(done.stdout)["caption"], "Meine Worte")
