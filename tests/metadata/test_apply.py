"""`capcli apply`: what is written into pictures, what stays, and what --undo brings back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from kept_results import make_kept
from PIL import Image
from typer.testing import CliRunner, Result

from capcli.cli import app
from capcli.keywords.keyword import Keyword
from capcli.library.keeping import LibraryFile
from capcli.metadata.embedding import NotWritten, Wanted, embed
from capcli.metadata.exiftool import ExifTool
from capcli.metadata.journal import Journal
from capcli.metadata.tags import Tags
from capcli.output.xmp import new_xmp
from capcli.pictures.read import read_described

pytestmark = pytest.mark.skipif(
    not shutil.which("exiftool"), reason="exiftool is not installed (Debian: libimage-exiftool-perl)"
)

DOG = "A dog runs."


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with pictures of 40 x 30 in photos/ and rows of them."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for number, name in enumerate(("a.jpg", "b.png")):
        Image.linear_gradient("L").resize((40, 30)).convert("RGB").save(f"photos/{name}")
        os.utime(f"photos/{name}", (1e9 + number, 1e9 + number))
    write_rows("photos/a.jpg", "photos/b.png")
    return tmp_path


def write_rows(*paths: str, **fields: object) -> None:
    rows = [{"path": path, "caption": DOG, "confidence": 0.5, **fields} for path in paths]
    Path("rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def apply(*arguments: str, rows: str = "rows.jsonl") -> Result:
    result = CliRunner().invoke(app, ["apply", rows, *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def exiftool(*arguments: str) -> str:
    return subprocess.run(["exiftool", *arguments], stdout=subprocess.PIPE, check=True, text=True).stdout


def tags(path: str) -> dict[str, Any]:
    return dict(json.loads(exiftool("-j", "-G1", path))[0])


def files() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(Path().rglob("*")) if path.is_file()}


def test_a_picture_gets_its_text_and_keeps_time_and_mode_and_undo_brings_back_every_byte() -> None:
    Path("photos/a.jpg").chmod(0o640)
    before, state = files(), Path("photos/a.jpg").stat()
    write_rows("photos/a.jpg", "photos/b.png", keywords=["dog", "animal|cat"])
    assert apply("--into", "original").exit_code == 0
    values = tags("photos/a.jpg")
    assert {values[key] for key in ("XMP-dc:Description", "XMP-iptcCore:AltTextAccessibility")} == {DOG}
    assert values["IPTC:Caption-Abstract"] == DOG
    assert (values["XMP-dc:Subject"], values["IPTC:Keywords"]) == (["dog", "cat"], ["dog", "cat"])
    assert values["XMP-lr:HierarchicalSubject"] == "animal|cat"
    assert not [name for name in tags("photos/b.png") if name.startswith("IPTC")]
    after = Path("photos/a.jpg").stat()
    assert (after.st_mtime_ns, after.st_mode) == (state.st_mtime_ns, state.st_mode)

    written = files()
    again = apply("--into", "original")
    assert (again.exit_code, "up to date 2" in again.stderr, files()) == (0, True, written)
    assert apply("--undo").exit_code == 0
    assert files() == {**before, "rows.jsonl": written["rows.jsonl"]}
    assert Path("photos/a.jpg").stat().st_mtime_ns == state.st_mtime_ns


@pytest.mark.parametrize("tag", ["XMP-dc:Description", "IPTC:Caption-Abstract", "IFD0:ImageDescription"])
def test_words_of_a_person_are_replaced_only_where_that_is_asked_for(tag: str) -> None:
    exiftool("-q", "-overwrite_original", f"-{tag}=My own words", "photos/a.jpg")
    before = files()
    refused = apply("--into", "original", "--dry-run")
    assert (refused.exit_code, "photos/a.jpg: has another text already ('My own words')" in refused.stderr) == (1, True)
    skipped = apply("--into", "original", "--only-missing", "--dry-run")
    assert (skipped.exit_code, skipped.stdout) == (0, f"photos/b.png\t{DOG}\n")
    assert files() == before
    assert apply("--into", "original", "--overwrite").exit_code == 0
    assert "My own words" not in tags("photos/a.jpg").values()


def test_only_missing_looks_into_pictures_that_get_sidecars_and_into_these() -> None:
    exiftool("-q", "-overwrite_original", "-IPTC:Caption-Abstract=My own words", "photos/a.jpg")
    exiftool("-q", "-XMP-iptcCore:AltTextAccessibility=Mine", "photos/b.xmp")
    before = files()
    assert apply("--only-missing").exit_code == 0
    assert files() == before


@pytest.mark.parametrize("tag", ["XMP-dc:Description-de", "XMP-iptcCore:AltTextAccessibility-de-AT"])
def test_words_in_another_language_are_no_missing_ones(tag: str) -> None:
    exiftool("-q", "-overwrite_original", f"-{tag}=Ein Hund", "photos/a.jpg")
    before = files()
    for place in (["--into", "original"], []):
        shown = apply("--only-missing", "--dry-run", *place)
        assert (shown.exit_code, shown.stdout) == (0, f"photos/b.png\t{DOG}\n")
    assert files() == before


def test_words_in_another_language_stay() -> None:
    exiftool("-q", "-overwrite_original", "-XMP-dc:Description-de=Ein Hund", "photos/a.jpg")
    refused = apply("--into", "original", "--dry-run")
    assert (refused.exit_code, "photos/a.jpg: has another text already ('Ein Hund')" in refused.stderr) == (1, True)
    assert apply("--into", "original", "--overwrite").exit_code == 0
    values = tags("photos/a.jpg")
    assert (values["XMP-dc:Description"], values["XMP-dc:Description-de"]) == (DOG, "Ein Hund")


def test_what_a_camera_writes_into_every_picture_is_no_description() -> None:
    exiftool("-q", "-overwrite_original", "-IFD0:ImageDescription=OLYMPUS DIGITAL CAMERA", "photos/a.jpg")
    assert apply("--into", "original", "--only-missing").exit_code == 0
    values = tags("photos/a.jpg")
    assert (values["XMP-dc:Description"], values["IFD0:ImageDescription"]) == (DOG, "OLYMPUS DIGITAL CAMERA")


def test_iptc_in_an_older_encoding_takes_any_letter_and_keeps_its_own() -> None:
    exiftool("-q", "-overwrite_original", "-IPTC:City=Besançon", "-IPTC:Keywords=été", "photos/a.jpg")
    write_rows("photos/a.jpg", caption="Žižkov", keywords=["漢"])
    assert apply("--into", "original").exit_code == 0
    values = tags("photos/a.jpg")
    assert (values["IPTC:City"], values["IPTC:Caption-Abstract"], values["IPTC:Keywords"]) == (
        "Besançon",
        "Žižkov",
        ["été", "漢"],
    )


@pytest.mark.parametrize(("caption", "marked"), [("Eine Kuh auf grüner Wiese.", True), ("A cow.", False)])
def test_iptc_in_utf8_without_a_marker_stays_utf8(caption: str, marked: bool) -> None:
    texts = ["-IPTC:Keywords=Größe", "-IPTC:Keywords=À Á €", "-IPTC:City=Zürich"]
    exiftool("-q", "-overwrite_original", "-charset", "iptc=utf8", *texts, "photos/a.jpg")
    write_rows("photos/a.jpg", caption=caption, keywords=["Größe", "cow"] if marked else ["cow"])
    before = files()
    assert apply("--into", "original").exit_code == 0
    charset = [] if marked else ["-charset", "iptc=utf8"]
    values = json.loads(exiftool("-j", *charset, "-IPTC:all", "photos/a.jpg"))[0]
    assert (values["Keywords"], values["City"]) == (["Größe", "À Á €", "cow"], "Zürich")
    assert (values["Caption-Abstract"], values.get("CodedCharacterSet")) == (caption, "UTF8" if marked else None)
    assert "up to date 1" in apply("--into", "original").stderr
    assert apply("--undo").exit_code == 0
    assert files() == before


def test_iptc_that_is_not_all_utf8_is_in_latin_letters() -> None:
    exiftool("-q", "-overwrite_original", "-charset", "iptc=utf8", "-IPTC:City=Zürich", "photos/a.jpg")
    exiftool("-q", "-overwrite_original", "-IPTC:Keywords=Größe", "photos/a.jpg")
    write_rows("photos/a.jpg", caption="Žižkov")
    assert apply("--into", "original").exit_code == 0
    assert (tags("photos/a.jpg")["IPTC:City"], tags("photos/a.jpg")["IPTC:Keywords"]) == ("ZÃ¼rich", "Größe")


@pytest.mark.parametrize("place", [["--into", "original"], ["--into", "copy", "--to", "copies"]])
def test_a_webp_and_two_frames_called_mpo_are_written(place: list[str]) -> None:
    frames = [Image.open("photos/a.jpg"), Image.open("photos/a.jpg").rotate(180)]
    frames[0].save("photos/c.mpo", save_all=True, append_images=frames[1:])
    frames[0].save("photos/d.webp")
    write_rows("photos/c.mpo", "photos/d.webp")
    assert apply(*place).exit_code == 0
    values = tags("copies/c.mpo" if "copy" in place else "photos/c.mpo")
    assert (values["File:FileType"], values["XMP-dc:Description"], values["IPTC:Caption-Abstract"]) == ("MPO", DOG, DOG)


def test_copies_have_the_texts_and_originals_stay() -> None:
    before = files()
    assert apply("--into", "copy", "--to", "copies").exit_code == 0
    assert files().items() >= before.items()
    assert tags("copies/b.png")["XMP-dc:Description"] == DOG
    written = files()
    assert "up to date 2" in apply("--into", "copy", "--to", "copies").stderr
    shutil.copy("photos/b.png", "copies/b.png")
    kept = apply("--into", "copy", "--to", "copies")
    assert (kept.exit_code, "--overwrite replaces it" in kept.stderr) == (1, True)
    assert apply("--into", "copy", "--to", "copies", "--overwrite").exit_code == 0
    assert files() == written
    assert apply("--into", "copy", "--to", "photos").exit_code == 2


def test_a_raw_file_gets_a_sidecar_and_is_not_changed() -> None:
    Path("photos/c.nef").write_bytes(b"II*\0 of a camera")
    write_rows("photos/c.nef")
    before = files()
    done = apply("--into", "original")
    assert (done.exit_code, "raw files are not changed, 1 of them" in done.stderr) == (0, True)
    assert files().keys() - before.keys() == {"photos/c.xmp"}
    assert files().items() >= before.items()


def test_keywords_join_the_text_of_a_sidecar() -> None:
    assert apply().exit_code == 0
    write_rows("photos/a.jpg", keywords=["dog", "animal|cat"])
    assert "written 1" in apply().stderr
    values = tags("photos/a.xmp")
    assert (values["XMP-dc:Description"], values["XMP-dc:Subject"]) == (DOG, ["dog", "cat"])
    assert values["XMP-lr:HierarchicalSubject"] == "animal|cat"
    assert "up to date 1" in apply().stderr


@pytest.mark.parametrize("rows", ["rows.jsonl", "photos.db"])
def test_levels_above_a_keyword_are_keywords_and_categories_are_not(rows: str) -> None:
    cow = Keyword("cow", 0.9, ("things", "animals", "cow"), ("animals",))
    keep_in_library("photos/a.jpg", keywords=(Keyword("field", 0.9), cow))
    write_rows("photos/a.jpg", keywords=[{"word": "field"}, cow.to_json()])
    expected = ["field", "animals", "cow"]
    assert apply(rows=rows).exit_code == 0
    assert tags("photos/a.xmp")["XMP-dc:Subject"] == expected
    assert apply("--into", "original", rows=rows).exit_code == 0
    values = tags("photos/a.jpg")
    assert (values["XMP-dc:Subject"], values["IPTC:Keywords"]) == (expected, expected)
    assert values["XMP-lr:HierarchicalSubject"] == "things|animals|cow"


def test_keywords_that_differ_in_case_or_in_how_letters_are_coded_are_the_same() -> None:
    exiftool("-q", "-overwrite_original", "-XMP-dc:Subject=Dog", "-IPTC:Keywords=Dog", "photos/a.jpg")
    size = ["Gr\u00f6\u00dfe", "Gro\u0308\u00dfe"]
    write_rows("photos/a.jpg", keywords=["dog", *size])
    for place, file in ((["--into", "original"], "photos/a.jpg"), ([], "photos/a.xmp")):
        assert apply(*place).exit_code == 0
        assert tags(file)["XMP-dc:Subject"] == ["dog" if file.endswith("xmp") else "Dog", size[0]]
        assert "up to date 1" in apply(*place).stderr
    assert tags("photos/a.jpg")["IPTC:Keywords"] == ["Dog", size[0]]


def test_sidecars_need_no_exiftool_and_all_else_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    before = files()
    refused = apply("--into", "original")
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert "exiftool, which writes into pictures, is not installed; get it by apt-get install" in refused.stderr
    assert files() == before
    assert apply().exit_code == 0
    assert files().keys() - before.keys() == {"photos/a.xmp", "photos/b.xmp"}


def test_a_dry_run_tells_what_a_run_does_with_sidecars() -> None:
    for changes in (lambda: None, lambda: Path("photos/a.xmp").write_bytes(new_xmp("My own words"))):
        changes()
        shown, before = apply("--dry-run"), files()
        assert files() == before
        done = apply()
        assert (shown.exit_code, shown.stderr.replace("dry run: ", "")) == (done.exit_code, done.stderr)
    assert "photos/a.jpg: its sidecar photos/a.xmp has another text already ('My own words')" in done.stderr
    assert "up to date 1, failed 1" in done.stderr


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("while read line; do case $line in -ver) ;; -execute*) echo 12.45; echo {ready${line#-execute}}; "
         "echo {ready${line#-execute}} >&2;; esac; done", "exiftool '12.45' is too old, capcli needs 12.46"),
        ("exit 3", "ended without an answer"),
    ],
)  # fmt: skip
def test_an_exiftool_of_no_use_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, program: str, message: str
) -> None:
    (folder / "bin").mkdir()
    script = folder / "bin" / "exiftool"
    script.write_text(f"#!/bin/sh\n{program}\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:/usr/bin:/bin")
    refused = apply("--into", "original")
    assert (refused.exit_code, message in refused.stderr, refused.stderr.count("\n")) == (2, True, 1)


@pytest.mark.parametrize(
    ("fields", "arguments", "message"),
    [
        ({"confidence": 0.5}, ["--min-confidence", "0.6"], "too uncertain 1"),
        ({"confidence": None}, ["--min-confidence", "0.1"], "too uncertain 1"),
        ({"uncertain": True}, [], "too uncertain 1"),
        ({"size": 3}, [], "was changed since it was captioned (3 bytes then"),
        ({"mtime": 1e9 + 2}, [], "was changed since it was captioned (last change"),
        ({"path": "photos/none.jpg"}, [], "no such file"),
        ({"path": "photos"}, [], "is not a regular file"),
        ({"path": "rows.jsonl"}, [], "exiftool cannot write it"),
    ],
)
def test_pictures_that_do_not_qualify_stay(fields: dict[str, object], arguments: list[str], message: str) -> None:
    write_rows("photos/a.jpg", **fields)
    before = files()
    done = apply("--into", "original", *arguments)
    assert (done.exit_code, message in done.stderr) == (0 if "uncertain" in message else 1, True)
    assert files() == before


@pytest.mark.parametrize("place", [["--into", "original"], ["--into", "original", "--dry-run"], []])
def test_a_row_with_the_size_of_its_file_still_fits_after_capcli_wrote_into_it(place: list[str]) -> None:
    Path("photos/link.jpg").symlink_to("a.jpg")
    state = Path("photos/a.jpg").stat()
    write_rows("photos/a.jpg", "photos/link.jpg", size=state.st_size, mtime=state.st_mtime)
    first = apply("--into", "original")
    assert (first.exit_code, "written 1, up to date 1" in first.stderr) == (0, True)
    assert apply(*place).exit_code == 0
    exiftool("-q", "-overwrite_original", "-P", "-XMP-xmp:Rating=4", "photos/a.jpg")
    changed = apply(*place)
    assert (changed.exit_code, "was changed since it was captioned" in changed.stderr) == (1, True)


def keep_in_library(*paths: str, **fields: Any) -> None:
    with LibraryFile(Path("photos.db"), overwrite=True) as library:
        for path in paths:
            _, facts = read_described(path, 8)
            library.write(make_kept(Path(path), DOG, facts=facts, **fields))


def test_a_picture_of_a_library_may_get_other_metadata_and_no_other_pixels() -> None:
    Image.linear_gradient("L").resize((400, 300)).convert("RGB").save("photos/large.jpg")
    paths = ("photos/a.jpg", "photos/b.png", "photos/large.jpg")
    keep_in_library(*paths)
    assert apply("--into", "original", rows="photos.db").exit_code == 0
    again = apply("--into", "original", rows="photos.db")
    assert (again.exit_code, "up to date 3" in again.stderr) == (0, True)
    exiftool("-q", "-overwrite_original", "-XMP-xmp:Rating=4", *paths)
    assert apply("--into", "original", "--overwrite", "--mark", "(second)", rows="photos.db").exit_code == 0
    for path in paths:
        Image.open(path).transpose(Image.Transpose.ROTATE_180).save(path)
    changed = apply(rows="photos.db")
    assert (changed.exit_code, changed.stderr.count("was changed since it was captioned")) == (1, 3)


def test_captions_of_a_library_go_into_sidecars_once_originals_are_put_back() -> None:
    keep_in_library("photos/a.jpg")
    apply("--into", "original", rows="photos.db")
    keep_in_library("photos/a.jpg")
    assert apply("--undo", rows="photos.db").exit_code == 0
    assert apply(rows="photos.db").exit_code == 0
    assert tags("photos/a.xmp")["XMP-dc:Description"] == DOG


def test_a_mark_stands_behind_every_caption() -> None:
    shown = apply("--mark", "(via capcli)", "--dry-run")
    assert shown.stdout == "".join(f"photos/{name}\t{DOG} (via capcli)\n" for name in ("a.jpg", "b.png"))


def test_undo_leaves_a_picture_that_was_changed_since() -> None:
    before = files()
    apply("--into", "original")
    exiftool("-q", "-overwrite_original", "-XMP-xmp:Rating=4", "photos/a.jpg")
    changed = files()
    undone = apply("--undo")
    assert (undone.exit_code, "photos/a.jpg: was changed since" in undone.stderr) == (1, True)
    assert files()["photos/b.png"] == before["photos/b.png"]
    assert files()["photos/a.jpg"] == changed["photos/a.jpg"]
    assert apply("--undo").exit_code == 1  # the journal still has it
    exiftool("-q", "-overwrite_original", "-XMP-xmp:Rating=", "photos/a.jpg")


def test_undo_goes_back_over_several_runs_and_then_has_nothing_left() -> None:
    before = files()
    apply("--into", "original")
    apply("--into", "original", "--overwrite", "--mark", "(second)")
    assert tags("photos/b.png")["XMP-dc:Description"] == f"{DOG} (second)"
    assert apply("--undo").exit_code == 0
    assert files() == before
    assert apply("--undo").exit_code == 2


@pytest.mark.parametrize(
    "beside",
    [
        *(["--dry-run"], ["--to", "x"], ["--into", "copy"], ["--only-missing"], ["--only-reviewed"], ["--overwrite"]),
        *(["--mark", "original"], ["--min-confidence", "0.5"], ["--context", "context.txt"]),
    ],
)
def test_undo_takes_no_option_that_says_what_is_written(beside: list[str]) -> None:
    apply("--into", "original")
    changed = files()
    refused = apply("--undo", *beside)
    name = "--into copy" if "copy" in beside else beside[0]
    assert (refused.exit_code, refused.stderr.count("\n"), f"leave {name} out" in refused.stderr) == (2, 1, True)
    assert files() == changed
    assert apply("--undo", "--into", "original", "-q").exit_code == 0


def test_a_run_that_ends_before_the_picture_changes_is_gone_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    before = files()

    def end(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as moment:
        moment.setattr(Path, "replace", end)
        CliRunner().invoke(app, ["apply", "rows.jsonl", "--into", "original"])
    assert len(files()) == len(before) + 1  # the journal, whose first entry came to nothing
    with next(iter(Path().glob(".rows*"))).open("ab") as journal:
        journal.write(b'{"path": "/broken o')
    assert apply("--into", "original").exit_code == 0
    assert tags("photos/a.jpg")["XMP-dc:Description"] == DOG
    assert apply("--undo").exit_code == 0
    assert files() == before


def test_two_runs_do_not_write_into_originals_by_the_same_rows() -> None:
    with Journal(Path("rows.jsonl")):
        refused = apply("--into", "original")
    assert (refused.exit_code, "another run" in refused.stderr) == (2, True)


@pytest.fixture
def tool() -> Iterator[ExifTool]:
    with ExifTool() as tool:
        yield tool


class Tampering:
    """An exiftool that does more to a picture than it was asked to."""

    def __init__(self, tool: ExifTool, *more: str) -> None:
        self._tool, self._more, self.folder, self.read = tool, more, tool.folder, tool.read

    def write(self, source: Path, target: Path, values: Sequence[tuple[str, str]], *, iptc_to_utf8: bool) -> None:
        self._tool.write(source, target, values, iptc_to_utf8=iptc_to_utf8)
        if self._more:
            exiftool("-q", "-overwrite_original", *self._more, str(target))
        else:
            content = target.read_bytes()
            place = content.index(b"\xff\xdb") + 5  # the first step of the quantization
            target.write_bytes(content[:place] + bytes([content[place] + 1]) + content[place + 1 :])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "its pixels would change"),
        (["-XMP-dc:Title=x"], "exiftool would change XMP-dc:Title too"),
        (["-IFD0:XResolution=300", "-JFIF:XResolution=7"], "exiftool would change .*XResolution"),
        (["-XMP-dc:Description=other"], "XMP-dc:Description would not read back as it was written"),
    ],
)
def test_nothing_but_what_was_asked_for_passes(tool: ExifTool, more: list[str], message: str) -> None:
    picture = Path("photos/a.jpg")
    before = Tags(tool.read(picture))
    tampering: Any = Tampering(tool, *more)
    with pytest.raises(NotWritten, match=message):
        embed(tampering, picture.read_bytes(), Wanted(DOG, [], before), before)


def test_exiftool_is_started_anew_where_it_ended(tool: ExifTool) -> None:
    tool._process.kill()  # type: ignore[union-attr]
    tool._process.wait()  # type: ignore[union-attr]
    assert tool.read(Path("photos/a.jpg"))["File:FileType"] == "JPEG"


@pytest.mark.skipif(sys.platform == "win32", reason="names there hold no such characters")
def test_any_text_and_any_name_come_through(tool: ExifTool) -> None:
    text = ' -a "$x" @ & &amp; < \\n\n# c\té 漢\U0001f600 '
    for name in ("-n\nx $@.jpg", " %d #.jpg", os.fsdecode(b"\xff.jpg")):
        picture = Path(shutil.copy("photos/a.jpg", name))
        tool.write(
            picture.absolute() if "\n" not in name else Path("photos/a.jpg"), Path("out"), [("XMP-dc:Title", text)]
        )
        assert tool.read(picture)["File:FileType"] == "JPEG"
        assert tool.read(Path("out"))["XMP-dc:Title"] == text
        Path("out").unlink()


def test_context_enters_the_text_of_every_place() -> None:
    exiftool("-q", "-overwrite_original", "-XMP-photoshop:City=Brno", "photos/a.jpg")
    Path("context.txt").write_text("{caption} ({city})\n")
    for arguments in (["--into", "original"], []):
        shown = apply("--context", "context.txt", "--dry-run", *arguments)
        assert shown.stdout == f"photos/a.jpg\t{DOG} (Brno)\nphotos/b.png\t{DOG}\n"


def test_an_existing_text_is_that_of_the_sidecar_or_else_of_the_picture() -> None:
    Path("context.txt").write_text("{existing} {caption}\n")
    Path("photos/a.xmp").write_bytes(new_xmp("Our dog Rex."))
    exiftool("-q", "-overwrite_original", "-XMP-dc:Description=Not this.", "photos/a.jpg")
    exiftool("-q", "-overwrite_original", "-XMP-dc:Description=A photo.", "photos/b.png")
    for _ in range(2):
        assert apply("--context", "context.txt", "--overwrite").exit_code == 0
        assert tags("photos/a.xmp")["XMP-dc:Description"] == f"Our dog Rex. {DOG}"
        assert tags("photos/b.xmp")["XMP-dc:Description"] == f"A photo. {DOG}"
    Path("photos/a.xmp").write_bytes(b"<broken")
    refused = apply("--context", "context.txt", "--overwrite")
    assert (refused.exit_code, "photos/a.jpg: its sidecar photos/a.xmp" in refused.stderr) == (1, True)


def test_existing_texts_of_all_tags_of_a_picture_are_kept() -> None:
    Path("context.txt").write_text("{existing} {caption}\n")
    long = f"{'word ' * 450}end."
    exiftool("-q", "-overwrite_original", "-XMP-dc:Description=Rex.", "-IPTC:Caption-Abstract=In Brno.", "photos/a.jpg")
    exiftool("-q", "-overwrite_original", f"-XMP-dc:Description={long}", "photos/b.png")
    for _ in range(2):
        assert apply("--context", "context.txt", "--overwrite", "--into", "original").exit_code == 0
        values = tags("photos/a.jpg")
        assert {values[name] for name in ("XMP-dc:Description", "IPTC:Caption-Abstract")} == {f"Rex. In Brno. {DOG}"}
        assert tags("photos/b.png")["XMP-dc:Description"] == f"{long} {DOG}"


def test_what_a_person_refused_is_not_written_and_what_one_checked_is_sure() -> None:
    rows = {"accepted": True, "flagged": False, "rejected": False, None: False}
    for status, written in rows.items():
        write_rows("photos/a.jpg", uncertain=True, status=status)
        done = apply("--min-confidence", "0.9", "--dry-run")
        assert done.stdout == (f"photos/a.jpg\t{DOG}\n" if written else "")
    write_rows("photos/a.jpg")
    assert apply("--dry-run").stdout
    done = apply("--only-reviewed")
    assert (done.stdout, "not reviewed 1" in done.stderr) == ("", True)
