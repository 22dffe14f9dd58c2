"""Files beside the pictures: one each, whole, and nobody else's."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_results import NAMES

from capcli.output import Result, State
from capcli.output.options import KINDS
from capcli.output.sidecar import SidecarError, Sidecars
from capcli.output.xmp import new_xmp

every_kind = pytest.mark.parametrize("kind", KINDS)


def captioned(path: Path, *captions: str, uncertain: bool = False) -> Result:
    captions = captions or ("A dog runs.",)
    return Result(path, captions, (0.5,) * len(captions), "base", uncertain)


def pictures(folder: Path, *names: str) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"picture " + os.fsencode(name))
    return [folder / name for name in names]


def names_of(sidecars: Sidecars, paths: list[Path]) -> list[str]:
    return [sidecars.path_of(path).name for path in paths]


def test_a_sidecar_has_the_picture_s_name_without_its_ending(tmp_path: Path) -> None:
    paths = pictures(tmp_path, "a.jpg", "b.c.png")
    assert names_of(Sidecars("txt", None, tmp_path), paths) == ["a.txt", "b.c.txt"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a.jpg", "a.png", "b.jpg"], ["a.jpg.txt", "a.png.txt", "b.txt"]),
        (["a.jpg", "A.PNG"], ["a.jpg.txt", "A.PNG.txt"]),
        (["a.jpg", "a.png", "a.jpg.jpg"], ["a.jpg.txt", "a.png.txt", "a.jpg.jpg.txt"]),
        (["a.one", "a.two", "a.jpg"], ["a.one.txt", "a.two.txt", "a.txt"]),
        (["a.jpg", "a.txt", "a.mov"], ["a.txt", "a.txt.txt", "a.mov.txt"]),
        (["r.dng", "s.jpg", "s.dng", "t.cr2", "t.nef"], ["r.txt", "s.txt", "s.dng.txt", "t.cr2.txt", "t.nef.txt"]),
        (["w.jpg", "w", "x.y.jpg", "x.y"], ["w.jpg.txt", "w.txt", "x.y.jpg.txt", "x.y.txt"]),
    ],
)
def test_pictures_whose_stems_collide_keep_their_endings(tmp_path: Path, names: list[str], expected: list[str]) -> None:
    assert names_of(Sidecars("txt", None, tmp_path), pictures(tmp_path, *names)) == expected


def test_a_sidecar_with_the_whole_name_that_is_there_is_the_picture_s(tmp_path: Path) -> None:
    (picture,) = pictures(tmp_path, "a.jpg")
    (tmp_path / "a.jpg.xmp").write_bytes(new_xmp("x"))  # as darktable names it
    assert names_of(Sidecars("xmp", None, tmp_path), [picture]) == ["a.jpg.xmp"]
    assert names_of(Sidecars("txt", None, tmp_path), [picture]) == ["a.txt"]


@every_kind
@pytest.mark.parametrize("name", ["a.{}", "a.jpg.{}"])
@pytest.mark.parametrize("case", [str.upper, str.title, lambda kind: kind[:-1] + kind[-1].upper()], ids="ABC")
def test_a_sidecar_is_found_whatever_the_case_of_its_ending(
    tmp_path: Path, kind: str, name: str, case: Callable[[str], str]
) -> None:
    (picture,) = pictures(tmp_path, "a.jpg")
    there = tmp_path / name.format(case(kind))
    Sidecars(kind, None, tmp_path).write(captioned(picture))
    (tmp_path / f"a.{kind}").rename(there)
    sidecars = Sidecars(kind, None, tmp_path, overwrite=True)
    assert sidecars.state(picture) is State.CAPTIONED
    sidecars.write(captioned(picture, "A cat sleeps."))
    assert b"A cat sleeps." in there.read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"a.jpg", there.name}


def test_of_two_sidecars_the_one_in_small_letters_is_the_picture_s(tmp_path: Path) -> None:
    (picture,) = pictures(tmp_path, "a.jpg")
    (tmp_path / "a.XMP").write_bytes(new_xmp("x"))
    (tmp_path / "a.xmp").write_bytes(new_xmp("x"))
    if len(list(tmp_path.glob("a.[xX][mM][pP]"))) == 2:  # not where names are the same in any case
        assert names_of(Sidecars("xmp", None, tmp_path), [picture]) == ["a.xmp"]


def test_sidecars_in_a_folder_of_their_own_are_found_too(tmp_path: Path) -> None:
    (picture,) = pictures(tmp_path / "in", "a.jpg")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.XMP").write_bytes(new_xmp("x"))
    Sidecars("xmp", tmp_path / "out", tmp_path / "in", overwrite=True).write(captioned(picture))
    assert b"A dog runs." in (tmp_path / "out" / "a.XMP").read_bytes()
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_a_picture_of_the_same_stem_counts_although_it_is_not_captioned_now(tmp_path: Path) -> None:
    first, _ = pictures(tmp_path, "a.jpg", "a.png")
    assert names_of(Sidecars("txt", None, tmp_path), [first]) == ["a.jpg.txt"]


def test_a_picture_that_comes_later_gets_a_sidecar_of_its_own(tmp_path: Path) -> None:
    (first,) = pictures(tmp_path, "a.jpg")
    sidecars = Sidecars("txt", None, tmp_path)
    assert names_of(sidecars, [first]) == ["a.txt"]
    (second,) = pictures(tmp_path, "a.png")
    assert names_of(sidecars, [second]) == ["a.png.txt"]


@settings(deadline=None)
@given(
    names=st.lists(
        st.builds("{}{}".format, NAMES, st.sampled_from(["", ".jpg", ".JPG", ".png", ".jpg.png", ".jpg.jpg"])),
        min_size=2,
        max_size=6,
        unique=True,
    )
)
def test_no_two_pictures_share_a_sidecar(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    folder = tmp_path_factory.mktemp("names")
    paths = pictures(folder, *names)
    sidecars = Sidecars("txt", None, folder)
    assert len({sidecars.path_of(path) for path in paths}) == len(paths)


def test_a_folder_of_sidecars_has_the_structure_of_the_pictures(tmp_path: Path) -> None:
    top, deep = pictures(tmp_path / "in", "a.jpg")[0], pictures(tmp_path / "in" / "x" / "y", "a.jpg")[0]
    sidecars = Sidecars("txt", tmp_path / "out", tmp_path / "in")
    sidecars.write(captioned(top))
    sidecars.write(captioned(deep, "A cat."))
    assert (tmp_path / "out" / "a.txt").read_text() == "A dog runs.\n"
    assert (tmp_path / "out" / "x" / "y" / "a.txt").read_text() == "A cat.\n"
    assert [path.name for path in (tmp_path / "in").rglob("*") if path.is_file()] == ["a.jpg", "a.jpg"]


def test_relative_pictures_and_folders_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures(tmp_path / "in" / "x", "a.jpg")
    monkeypatch.chdir(tmp_path / "in")
    sidecars = Sidecars("txt", Path("../out"), Path())
    assert sidecars.path_of(Path("x/a.jpg")) == Path("../out/x/a.txt")
    assert sidecars.path_of(Path("../in/x/a.jpg")) == Path("../out/x/a.txt")


@every_kind
def test_what_is_written_is_held_and_the_picture_stays(tmp_path: Path, kind: str) -> None:
    (picture,) = pictures(tmp_path, "a.jpg")
    before = picture.read_bytes()
    sidecars = Sidecars(kind, None, tmp_path)
    assert sidecars.state(picture) is None
    sidecars.write(captioned(picture))
    assert sidecars.state(picture) is State.CAPTIONED
    assert picture.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"a.jpg", f"a.{kind}"}


def test_txt_holds_all_captions_and_json_the_row(tmp_path: Path) -> None:
    (picture,) = pictures(tmp_path, "a.jpg")
    result = captioned(picture, "A dog runs.", "A dog.")
    for kind in ("txt", "json"):
        Sidecars(kind, None, tmp_path).write(result)
    assert (tmp_path / "a.txt").read_text() == "A dog runs.\nA dog.\n"
    assert json.loads((tmp_path / "a.json").read_text()) == result.row()


@every_kind
def test_failures_leave_no_sidecar(tmp_path: Path, kind: str) -> None:
    (picture,) = pictures(tmp_path, "a.jpg")
    Sidecars(kind, None, tmp_path).write(Result(picture, error="is empty (0 bytes)"))
    assert list(tmp_path.iterdir()) == [picture]


@pytest.mark.parametrize(("kind", "written"), [("txt", False), ("xmp", False), ("json", True)])
def test_an_uncertain_caption_goes_only_where_that_can_be_said(tmp_path: Path, kind: str, written: bool) -> None:
    (picture,) = pictures(tmp_path, "a.jpg")
    Sidecars(kind, None, tmp_path).write(captioned(picture, uncertain=True))
    assert (tmp_path / f"a.{kind}").exists() == written


def test_xmp_is_merged_into(tmp_path: Path) -> None:
    (picture,) = pictures(tmp_path, "a.jpg")
    rated = new_xmp("x").replace(
        b'rdf:about=""', b'rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4"'
    )
    (tmp_path / "a.xmp").write_bytes(rated)
    Sidecars("xmp", None, tmp_path).write(captioned(picture))
    assert b"A dog runs." not in (tmp_path / "a.xmp").read_bytes()
    Sidecars("xmp", None, tmp_path, overwrite=True).write(captioned(picture))
    assert b"A dog runs." in (tmp_path / "a.xmp").read_bytes()
    assert b'xmp:Rating="4"' in (tmp_path / "a.xmp").read_bytes()


@pytest.mark.parametrize(
    ("kind", "content"),
    [("json", b'{"title": "from a photo service"}'), ("json", b"not json"), ("xmp", b"<html>"), ("xmp", b"\x00\x01")],
)
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_of_another_program_is_left_as_it_is(tmp_path: Path, kind: str, content: bytes, overwrite: bool) -> None:
    (picture,) = pictures(tmp_path, "a.jpg")
    (tmp_path / f"a.{kind}").write_bytes(content)
    sidecars = Sidecars(kind, None, tmp_path, overwrite=overwrite)
    assert sidecars.state(picture) is None
    with pytest.raises(SidecarError, match="left as it is"):
        sidecars.write(captioned(picture))
    assert (tmp_path / f"a.{kind}").read_bytes() == content


@every_kind
def test_a_sidecar_that_cannot_be_written_is_one_clause(tmp_path: Path, kind: str) -> None:
    (picture,) = pictures(tmp_path, "a.jpg")
    (tmp_path / f"a.{kind}").mkdir()
    with pytest.raises(SidecarError, match="cannot be written") as caught:
        Sidecars(kind, None, tmp_path).write(captioned(picture))
    assert "\n" not in str(caught.value)
    assert {path.name for path in tmp_path.iterdir()} == {"a.jpg", f"a.{kind}"}


@pytest.mark.skipif(os.name == "nt", reason="permissions are others there")
def test_permissions_of_a_sidecar_stay(tmp_path: Path) -> None:
    (picture,) = pictures(tmp_path, "a.jpg")
    (tmp_path / "a.txt").write_text("\n")
    (tmp_path / "a.txt").chmod(0o640)
    Sidecars("txt", None, tmp_path).write(captioned(picture))
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640


def test_a_name_as_long_as_names_can_be(tmp_path: Path) -> None:
    (picture,) = pictures(tmp_path, "a" * 251 + ".jpg")
    sidecars = Sidecars("txt", None, tmp_path)
    sidecars.write(captioned(picture))
    assert sidecars.state(picture) is State.CAPTIONED
