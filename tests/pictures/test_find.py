from __future__ import annotations

import glob
import os
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capcli.errors import UnreadableImage, UsageError
from capcli.pictures.find import Found, by_folder, find_pictures
from capcli.pictures.options import InputOptions
from capcli.pictures.read import read_picture
from capcli.pictures.search import natural


def make(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    make(tmp_path, "img10.jpg", "img2.JPG", "Img1.png", "notes.txt", "deep/b.webp", "deep/er/a.tif")
    return tmp_path


def names(found: Found, root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in found.pictures]


def test_a_folder_gives_its_pictures_in_natural_order(tree: Path) -> None:
    found = find_pictures([tree])
    assert names(found, tree) == ["Img1.png", "img2.JPG", "img10.jpg"]
    assert found.notes == []


@given(
    st.sets(st.from_regex(r"(img|IMG)_[0-9]{3}-[0-9]{2}\.jpg", fullmatch=True), min_size=1, max_size=12),
    st.booleans(),
)
def test_names_that_differ_in_their_digits_alone_come_in_the_order_of_all_names(
    tmp_path_factory: pytest.TempPathFactory, alike: set[str], other: bool
) -> None:
    root = tmp_path_factory.mktemp("alike")
    make(root, *alike, *(["img_1.jpg"] if other else []))
    assert names(find_pictures([root]), root) == sorted({path.name for path in root.iterdir()}, key=natural)


def test_pictures_by_their_folders_are_the_same(tree: Path) -> None:
    found = find_pictures([tree / "deep/b.webp", tree], recursive=True)
    together = [(folder, list(names)) for folder, names in by_folder(found)]
    assert [folder / name for folder, names in together for name in names] == found.pictures
    assert (tree, ["Img1.png", "img2.JPG", "img10.jpg"]) in together
    assert [folder / name for folder, names in by_folder(found.pictures) for name in names] == found.pictures


def test_recursion_adds_sub_folders_after_the_folder_itself(tree: Path) -> None:
    found = find_pictures([tree], recursive=True)
    assert names(found, tree) == ["Img1.png", "img2.JPG", "img10.jpg", "deep/b.webp", "deep/er/a.tif"]


@given(st.sets(st.from_regex(r"[a-c0-9]{1,4}", fullmatch=True), min_size=1, max_size=12))
def test_numbers_count_as_numbers_in_any_name(tmp_path_factory: pytest.TempPathFactory, stems: set[str]) -> None:
    folder = tmp_path_factory.mktemp("numbers")
    make(folder, *(f"x{int(stem, 16)}.png" for stem in stems))
    numbers = [int(path.stem[1:]) for path in find_pictures([folder]).pictures]
    assert numbers == sorted({int(stem, 16) for stem in stems})


@pytest.mark.parametrize("kind", ["jpg", "jpeg", "png", "webp", "gif", "tif", "tiff", "bmp", "avif", "heic", "HEIF"])
def test_extensions(tmp_path: Path, kind: str) -> None:
    make(tmp_path, f"a.{kind}")
    assert names(find_pictures([tmp_path]), tmp_path) == [f"a.{kind}"]


def test_folders_named_like_pictures_are_folders(tree: Path) -> None:
    make(tree, "album.jpg/d.jpg")
    assert "album.jpg" not in names(find_pictures([tree]), tree)
    assert "album.jpg/d.jpg" in names(find_pictures([tree], recursive=True), tree)


@pytest.mark.skipif(sys.platform != "linux", reason="names are text there")
def test_names_that_are_no_text(tmp_path: Path) -> None:
    wild = [b"\xff2.jpg", b"\xff10.jpg", b"new\nline.jpg", b"tab\t.jpg"]
    for name in wild:
        (tmp_path / os.fsdecode(name)).touch()
    found = find_pictures([tmp_path], include=["*.JPG"])
    assert sorted(os.fsencode(path.name) for path in found.pictures) == sorted(wild)
    assert find_pictures(found.pictures[::-1]).pictures == found.pictures[::-1]


def test_hidden_entries_are_left_out_and_counted_in_one_note(tree: Path) -> None:
    make(tree, ".cache/c.jpg", "._img2.JPG", "deep/.d.jpg", ".DS_Store")
    found = find_pictures([tree, tree / "deep"], recursive=True)
    assert len(found.pictures) == 5
    assert found.notes == [f"left out 3 hidden files and folders, such as {tree / '._img2.JPG'}"]


def test_one_hidden_file_is_named_and_folders_count_only_where_they_would_be_looked_into(tree: Path) -> None:
    make(tree, ".cache/c.jpg", ".d.jpg")
    assert find_pictures([tree]).notes == [f"left out a hidden file or folder: {tree / '.d.jpg'}"]
    assert find_pictures([tree], exclude=[".d*"]).notes == []


def test_hidden_files_and_folders_named_outright_are_taken(tree: Path) -> None:
    make(tree, ".cache/c.jpg", ".d.jpg")
    found = find_pictures([tree / ".d.jpg", tree / ".cache"])
    assert (names(found, tree), found.notes) == ([".d.jpg", ".cache/c.jpg"], [])


def test_a_named_file_is_taken_whatever_its_extension(tree: Path) -> None:
    assert find_pictures([tree / "notes.txt", str(tree / "img10.jpg")]).pictures == [
        tree / "notes.txt",
        tree / "img10.jpg",
    ]


def test_order_is_that_of_the_arguments_and_duplicates_go(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree)
    found = find_pictures(["img10.jpg", ".", "./deep/../img2.JPG", tree / "img10.jpg"], listed=["Img1.png"])
    assert found.pictures == [Path("img10.jpg"), Path("Img1.png"), Path("img2.JPG")]


@given(st.lists(st.sampled_from(["a.jpg", "b.jpg", "sub", "sub/c.jpg", "gone.jpg", "up/a.jpg"]), min_size=1))
def test_every_file_comes_once_and_searching_again_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, given_names: list[str]
) -> None:
    root = tmp_path_factory.mktemp("once")
    make(root, "a.jpg", "b.jpg", "sub/c.jpg")
    (root / "up").symlink_to(root, target_is_directory=True)
    found = find_pictures([], listed=[root / name for name in given_names]).pictures
    assert len({(path.parent.resolve(), path.name) for path in found}) == len(found)
    assert find_pictures([], listed=found).pictures == found


def test_a_link_to_a_picture_is_a_picture_and_a_dangling_one_is_left_to_reading(tree: Path) -> None:
    (tree / "deep" / "link.jpg").symlink_to(tree / "img2.JPG")
    (tree / "deep" / "nowhere.jpg").symlink_to(tree / "gone.jpg")
    assert names(find_pictures([tree / "deep"]), tree) == ["deep/b.webp", "deep/link.jpg", "deep/nowhere.jpg"]


def test_links_that_lead_back_up_or_to_themselves_end(tree: Path) -> None:
    for name in ("up", "again"):
        (tree / "deep" / name).symlink_to(tree, target_is_directory=True)
    (tree / "deep" / "self").symlink_to(tree / "deep" / "self")
    assert len(find_pictures([tree], recursive=True).pictures) == 5
    assert len(find_pictures([tree / "**" / "*.[pw]*"]).pictures) == 2


@pytest.mark.parametrize("name", ["absent.jpg", "", "a\0b", "Img1.png/x", "x" * 5000, "*.xyz", "**x"])
def test_a_path_that_does_not_exist(tree: Path, name: str) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        find_pictures([os.path.join(tree, name) if name else ""])  # noqa: PTH118 - pathlib would mend the name


def test_several_paths_that_do_not_exist_are_one_line() -> None:
    with pytest.raises(UsageError, match=r"^no such file or folder: absent\.jpg and 2 other paths$"):
        find_pictures(["absent.jpg", "gone.jpg", "lost"])


@pytest.mark.parametrize("address", ["https://example.org/a.jpg", "S3://bucket/a.jpg", "https:/example.org/a.jpg"])
def test_an_address_must_be_downloaded_first(address: str) -> None:
    with pytest.raises(UsageError) as refused:
        find_pictures([address, "gone.jpg"])
    todo = "(capcli reads files; what has an address must be downloaded first)"
    assert str(refused.value) == f"no such file or folder: {address} and 1 other path {todo}"
    with pytest.raises(UnreadableImage) as unreadable:
        read_picture(Path(address))
    assert unreadable.value.reason == f"does not exist {todo}"


@pytest.mark.parametrize("path", ["C:/a.jpg", "file:///absent.jpg", "here/b:/a.jpg"])
def test_what_is_no_address_is_just_not_there(path: str) -> None:
    with pytest.raises(UsageError, match=r"^no such file or folder: [^ ]*$"):
        find_pictures([path])


def test_beside_others_a_path_that_does_not_exist_is_left_to_reading(tree: Path) -> None:
    paths = [tree / "absent.jpg", tree / "deep", tree / "a\0b", tree / "absent.jpg"]
    found = find_pictures(paths, include=["*.webp"])
    assert names(found, tree) == ["absent.jpg", "deep/b.webp", "a\0b"]


def test_an_empty_path_is_refused_even_beside_others(tree: Path) -> None:
    with pytest.raises(UsageError, match="an empty path"):
        find_pictures([tree, ""])


def test_listed_files_that_do_not_exist_are_left_to_reading(tree: Path) -> None:
    listed = [str(tree / name) for name in ("gone.jpg", "img[1].jpg", "deep")]
    assert names(find_pictures([], listed=listed), tree) == ["gone.jpg", "img[1].jpg", "deep/b.webp"]
    assert names(find_pictures([tree / "lost.jpg"], listed=listed[:1]), tree) == ["lost.jpg", "gone.jpg"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.jpg", ["img2.jpg", "img10.jpg"]),
        ("img?.*", ["img2.jpg"]),
        ("img[12]*", ["img2.jpg", "img10.jpg"]),
        ("**/*.jpg", ["deep/er/c.jpg", "img2.jpg", "img10.jpg"]),
        ("d*", ["deep/b.webp"]),
        (".h*/*", [".hidden/d.jpg"]),
    ],
)
def test_patterns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str, expected: list[str]) -> None:
    make(tmp_path, "img10.jpg", "img2.jpg", ".img2.jpg", "deep/b.webp", "deep/er/c.jpg", ".hidden/d.jpg")
    assert names(find_pictures([tmp_path / pattern]), tmp_path) == expected
    monkeypatch.chdir(tmp_path)
    assert [path.as_posix() for path in find_pictures([pattern]).pictures] == expected


@pytest.mark.parametrize("pattern", ["p*/c*.jpg", "p?", "**/c*.jpg", "p1/**/*.jpg", "p[2]/cat.jpg"])
def test_a_pattern_has_the_common_folder_of_what_it_matches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    make(tmp_path, "p1/cat.jpg", "p1/deep/cow.jpg", "p2/cat.jpg")
    monkeypatch.chdir(tmp_path)
    quoted, base = InputOptions(recursive=True).find([pattern])
    expanded, expanded_base = InputOptions(recursive=True).find(glob.glob(pattern, recursive=True))  # noqa: PTH207
    assert (sorted(quoted.pictures), base) == (sorted(expanded.pictures), expanded_base)
    assert all(picture.absolute().is_relative_to(base) for picture in quoted.pictures)


@pytest.mark.parametrize("end", ["/", "//", "/."])
def test_a_slash_behind_a_file_leaves_its_folder_as_it_is(tmp_path: Path, end: str) -> None:
    make(tmp_path, "cat.jpg")
    (tmp_path / "list").write_text(f"{tmp_path}/cat.jpg{end}\n")
    found, base = InputOptions(from_file=str(tmp_path / "list")).find([])
    assert (found.pictures, base) == ([tmp_path / "cat.jpg"], tmp_path)


def test_a_file_of_that_very_name_goes_before_the_pattern(tmp_path: Path) -> None:
    make(tmp_path, "a[1].jpg", "a1.jpg")
    assert names(find_pictures([tmp_path / "a[1].jpg"]), tmp_path) == ["a[1].jpg"]


@pytest.fixture
def album(tmp_path: Path) -> Path:
    make(tmp_path, "a.jpg", "b.PNG", "2019/c.jpg", "2019/raw/d.jpg", "2020/raw/E.png", "2020/raw/f.jpg", "g.txt")
    return tmp_path


ALBUM = ["a.jpg", "b.PNG", "2019/c.jpg", "2019/raw/d.jpg", "2020/raw/E.png", "2020/raw/f.jpg"]


@pytest.mark.parametrize(
    ("pattern", "matched"),
    [
        ("*.png", "b.PNG 2020/raw/E.png"),
        ("e.*", "2020/raw/E.png"),
        ("RAW", "2019/raw/d.jpg 2020/raw/E.png 2020/raw/f.jpg"),
        ("raw/", "2019/raw/d.jpg 2020/raw/E.png 2020/raw/f.jpg"),
        ("2019", "2019/c.jpg 2019/raw/d.jpg"),
        ("2019/*", "2019/c.jpg 2019/raw/d.jpg"),
        ("2019/*.jpg", "2019/c.jpg"),
        ("20[12]9/**/*.jpg", "2019/c.jpg 2019/raw/d.jpg"),
        ("/*.jpg", "a.jpg"),
        ("./a.jpg", "a.jpg"),
        ("**/raw/*.jpg", "2019/raw/d.jpg 2020/raw/f.jpg"),
        ("2020/**", "2020/raw/E.png 2020/raw/f.jpg"),
        ("*/*/[!d]*", "2020/raw/E.png 2020/raw/f.jpg"),
    ],
)
def test_include_takes_what_exclude_leaves_out(album: Path, pattern: str, matched: str) -> None:
    assert names(find_pictures([album], recursive=True, include=[pattern]), album) == matched.split()
    rest = [name for name in ALBUM if name not in matched.split()]
    assert names(find_pictures([album], recursive=True, exclude=[pattern]), album) == rest


def test_several_patterns_and_exclude_goes_before_include(album: Path) -> None:
    found = find_pictures([album], recursive=True, include=["*.png", "2019"], exclude=["raw", "b.*"])
    assert names(found, album) == ["2019/c.jpg"]


def test_include_does_not_turn_other_files_into_pictures(album: Path) -> None:
    assert names(find_pictures([album], include=["[ag].*"]), album) == ["a.jpg"]


def test_of_files_named_themselves_the_name_counts_or_the_path_as_given(
    album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(album)
    listed = ["2019/c.jpg", "./2019/raw/d.jpg", "a.jpg", "g.txt"]
    for pattern, left in (
        ("c.*", listed[1:]),
        ("2019/raw", ["2019/c.jpg", "a.jpg", "g.txt"]),
        ("raw", listed),
        ("**/raw/**", ["2019/c.jpg", "a.jpg", "g.txt"]),
        (str(album / "a.jpg"), listed),
    ):
        assert find_pictures(listed, exclude=[pattern]).pictures == [Path(path) for path in left]
        assert find_pictures([], listed=listed, exclude=[pattern]).pictures == [Path(path) for path in left]
    assert names(find_pictures([album / "a.jpg", album / "g.txt"], exclude=[str(album / "a.*")]), album) == ["g.txt"]


def test_letters_with_accents_match_however_they_are_encoded(tmp_path: Path) -> None:
    make(tmp_path, "cafe\u0301.jpg", "b.jpg")
    assert len(find_pictures([tmp_path], include=["CAF\u00c9.*"]).pictures) == 1


@pytest.mark.parametrize("pattern", ["", "/", " ", "./"])
def test_an_empty_pattern_is_refused(album: Path, pattern: str) -> None:
    with pytest.raises(UsageError, match="is no pattern"):
        find_pictures([album], include=[pattern])
    with pytest.raises(UsageError, match="is no pattern"):
        find_pictures([album], exclude=["*.jpg", pattern])


def test_a_folder_without_pictures(tree: Path) -> None:
    empty = tree / "empty"
    empty.mkdir()
    for recursive in (False, True):
        with pytest.raises(UsageError, match=r"^no pictures in .*empty$"):
            find_pictures([empty], recursive=recursive)
        assert find_pictures([tree / "deep" / "er", empty], recursive=recursive).notes == [f"no pictures in {empty}"]


def test_several_folders_without_pictures_are_one_note(tmp_path: Path) -> None:
    make(tmp_path, "a/x.jpg", "b/x.txt", "c/x.txt")
    found = find_pictures([tmp_path / name for name in "abc"])
    assert found.notes == [f"no pictures in {tmp_path / 'b'} and 1 other folder"]


def test_a_folder_whose_pictures_lie_deeper_points_to_recursion(tmp_path: Path) -> None:
    make(tmp_path, "sub/a.jpg", "sub/.b.jpg")
    with pytest.raises(UsageError, match=r"no pictures in .*; -r looks into sub-folders"):
        find_pictures([tmp_path])
    found = find_pictures([tmp_path, tmp_path / "sub" / "a.jpg"])
    assert found.notes == [f"no pictures in {tmp_path}; -r looks into sub-folders"]


def test_patterns_that_leave_nothing_are_told(album: Path) -> None:
    with pytest.raises(UsageError, match=r"no pictures in .* that --include and --exclude let through"):
        find_pictures([album], recursive=True, exclude=["*"])
    with pytest.raises(UsageError, match="--include and --exclude leave none of the files named"):
        find_pictures([album / "a.jpg", album / "b.PNG"], include=["*.gif"])


def test_no_paths_are_no_pictures() -> None:
    assert (find_pictures([]).pictures, find_pictures([]).notes) == ([], [])


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may look into everything")
def test_a_folder_that_may_not_be_looked_into_is_left_to_reading_once(tree: Path) -> None:
    closed = tree / "deep" / "er"
    (tree / "link").symlink_to(closed, target_is_directory=True)
    closed.chmod(0)
    try:
        found = names(find_pictures([tree, closed], recursive=True), tree)
    finally:
        closed.chmod(0o700)
    assert found == ["Img1.png", "img2.JPG", "img10.jpg", "deep/b.webp", "deep/er"]


def test_a_folder_that_cannot_be_read_is_left_to_reading_once(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def scandir(path: Path) -> object:
        if path.name == "er":
            raise OSError(5, "Input/output error")
        return real(path)

    real = os.scandir
    monkeypatch.setattr(os, "scandir", scandir)
    assert names(find_pictures([tree / "deep", tree / "deep" / "er"], recursive=True), tree) == [
        "deep/b.webp",
        "deep/er",
    ]


PNG = b"\x89PNG\r\n\x1a\n"


def test_what_pillow_reads_is_taken_whatever_its_ending(tmp_path: Path) -> None:
    make(tmp_path, "a.psd", "b.ICO", "c.pcx", "d.jps", "e.txt")
    for name in ("Beach", "5.12.2019", "St. Malo"):
        (tmp_path / name).write_bytes(PNG)
    for name in ("README", "Makefile.old", ".hidden", "empty"):
        (tmp_path / name).write_bytes(b"text" if name != ".hidden" else PNG)
    found = find_pictures([tmp_path])
    assert names(found, tmp_path) == ["5.12.2019", "a.psd", "b.ICO", "Beach", "c.pcx", "d.jps", "St. Malo"]
    assert found.notes == []


def test_files_without_an_ending_that_may_not_be_looked_into_are_no_pictures(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    assert names(find_pictures([tmp_path]), tmp_path) == ["a.jpg"]


def test_what_is_left_out_is_counted_by_kind_with_the_reason(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", *(f"{number}.CR2" for number in range(3)), "b.nef", "c.svg", "d.jxl", "e.xcf", "f.pdf")
    make(tmp_path, "f.txt", "g.xmp", "h.json", ".i.cr2", "sub/j.cr2", "._k.cr2")
    assert find_pictures([tmp_path]).notes == [
        "left out 3 .cr2 and 1 .nef (raw files: export them as JPEG), 1 .jxl (JPEG XL: convert them to JPEG or PNG), "
        "1 .pdf (documents: export their pages as JPEG or PNG), 1 .svg (drawings: export them as PNG), "
        "1 .xcf (formats that capcli cannot read: export them as JPEG or PNG)"
    ]
    assert find_pictures([tmp_path], recursive=True).notes[0].startswith("left out 4 .cr2 and 1 .nef (raw")
    assert find_pictures([tmp_path, tmp_path]).notes == find_pictures([tmp_path]).notes


def test_a_video_is_counted_unless_it_is_the_clip_of_a_live_photo(tmp_path: Path) -> None:
    make(
        tmp_path, "IMG_1.jpg", "IMG_1.MOV", "img_2.HEIC", "IMG_2.mov", "IMG_3.MOV", "a.jpg.mp4", "a.jpg", "b/IMG_3.jpg"
    )
    assert find_pictures([tmp_path]).notes == [
        "left out 1 .mov (videos: caption them one by one, as in capcli caption film.mp4)"
    ]
    (tmp_path / "IMG_3.MOV").unlink()
    assert find_pictures([tmp_path]).notes == []
    # A raw file beside its JPEG is counted: it may be another picture.
    make(tmp_path, "IMG_1.cr2")
    assert find_pictures([tmp_path]).notes == ["left out 1 .cr2 (raw files: export them as JPEG)"]


def test_what_patterns_leave_out_is_not_counted(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "a.cr2", "b.cr2", "c.svg")
    assert find_pictures([tmp_path], exclude=["*.cr2"]).notes == ["left out 1 .svg (drawings: export them as PNG)"]
    assert find_pictures([tmp_path], include=["a.*"]).notes == ["left out 1 .cr2 (raw files: export them as JPEG)"]


def test_a_folder_of_what_is_left_out_alone_says_so(tmp_path: Path) -> None:
    make(tmp_path, "a/x.cr2", "b/y.jpg", "c/z.svg")
    with pytest.raises(UsageError, match=r"^no pictures in .*a; left out 1 \.cr2 \(raw files: export them as JPEG\)$"):
        find_pictures([tmp_path / "a"])
    found = find_pictures([tmp_path / name for name in "abc"])
    assert found.notes == [
        f"no pictures in {tmp_path / 'a'} and 1 other folder",
        "left out 1 .cr2 (raw files: export them as JPEG), 1 .svg (drawings: export them as PNG)",
    ]


def test_a_file_that_is_named_is_taken_whatever_it_is(tmp_path: Path) -> None:
    make(tmp_path, "a.cr2", "b.mov")
    found = find_pictures([tmp_path / "a.cr2"], listed=[tmp_path / "b.mov"])
    assert names(found, tmp_path) == ["a.cr2", "b.mov"]
    assert found.notes == []


def test_one_file_by_its_own_path_is_alone(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "b.jpg", "sub/c.jpg")
    assert find_pictures([tmp_path / "a.jpg"]).alone
    for paths in ([tmp_path / "a.jpg", tmp_path / "b.jpg"], [tmp_path / "sub"], [tmp_path / "sub" / "*.jpg"]):
        assert not find_pictures(paths).alone
    assert not find_pictures([], listed=[tmp_path / "a.jpg"]).alone


def test_pictures_come_before_the_folders_behind_them_are_looked_into(tmp_path: Path) -> None:
    make(tmp_path, "a/1.jpg", "b/2.jpg")
    found = iter(find_pictures([tmp_path], recursive=True))
    assert next(found) == tmp_path / "a" / "1.jpg"
    make(tmp_path, "b/3.jpg")
    assert [path.name for path in found] == ["2.jpg", "3.jpg"]


def test_each_iteration_looks_anew_and_can_be_remembered(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "sub/b.jpg")
    found = find_pictures([tmp_path], recursive=True)
    remembered = found.remember()
    first, second = iter(found), iter(found)
    assert (next(first), next(second)) == (tmp_path / "a.jpg", tmp_path / "a.jpg")
    assert list(first) == list(second) == [tmp_path / "sub" / "b.jpg"]
    assert remembered == {tmp_path / "a.jpg", tmp_path / "sub" / "b.jpg"}


PLACES = ["", "a", "a/b", "c", "link", "a/1.jpg", "a/b/2.jpg", "c/.4.jpg"]
PATTERNS = ["*.jpg", "b", "a/*", "a/b/*.jpg", "**/1.jpg", "2.*"]


@pytest.fixture(scope="module")
def overlapping(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("overlap")
    make(root, "0.jpg", "a/1.jpg", "a/b/2.jpg", "c/3.jpg", "c/.4.jpg")
    (root / "link").symlink_to(root / "a", target_is_directory=True)
    return root


@given(
    st.lists(st.sampled_from(PLACES), min_size=1, max_size=4),
    st.lists(st.sampled_from(PATTERNS), max_size=2),
    st.lists(st.sampled_from(PATTERNS), max_size=1),
    st.booleans(),
)
def test_paths_that_overlap_give_each_picture_once_where_the_first_of_them_has_it(
    overlapping: Path, given_places: list[str], include: list[str], exclude: list[str], deep: bool
) -> None:
    how: dict[str, Any] = {"recursive": deep, "include": include, "exclude": exclude}
    expected: dict[tuple[Path, str], Path] = {}
    for place in given_places:
        try:
            alone = find_pictures([overlapping / place], **how).pictures
        except UsageError:
            continue
        for path in alone:
            expected.setdefault((path.parent.resolve(), path.name), path)
    if expected:
        found = find_pictures([overlapping / place for place in given_places], **how)
        assert found.pictures == list(expected.values())


@pytest.mark.slow
def test_what_is_remembered_of_a_search_does_not_grow_with_its_pictures(tmp_path: Path) -> None:
    for folder in range(24):
        make(tmp_path, *(f"{folder}/{number:060}.jpg" for number in range(200)))

    def held(*paths: Path) -> int:
        found = find_pictures(paths)
        tracemalloc.start()
        assert sum(1 for _ in found) == 200 * len(paths)
        # Paths intern their parts, and Python makes room for more of them at times that nobody can foresee.
        snapshot = tracemalloc.take_snapshot().filter_traces(
            [tracemalloc.Filter(inclusive=False, filename_pattern="*pathlib*")]
        )
        tracemalloc.stop()
        assert found.notes == []
        return sum(trace.size for trace in snapshot.traces)

    folders = [tmp_path / str(folder) for folder in range(24)]
    few, many = held(*folders[:3]), held(*folders)
    # All names of the other folders would be 21 x 200 x 109 bytes.
    assert many - few < 50_000
