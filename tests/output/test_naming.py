"""Names of files that belong to pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_results import NAMES

from capcli.output.naming import Naming

ENDINGS = ("", ".png", ".html")


def touch(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return [folder / name for name in names]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a.jpg", "b.c.png"], ["a", "b.c"]),
        (["a.jpg", "a.png", "b.jpg"], ["a.jpg", "a.png", "b"]),
        (["a.jpg", "A.PNG"], ["a.jpg", "A.PNG"]),
        (["a.jpg", "a.png", "a.jpg.jpg"], ["a.jpg", "a.png", "a.jpg.jpg"]),
        (["w.jpg", "w"], ["w.jpg", "w"]),
        (["a.jpg", "deep/a.jpg", "deep/er/a.png"], ["a", "deep/a", "deep/er/a"]),
    ],
)
def test_a_file_has_the_picture_s_name_and_place(
    tmp_path: Path, ending: str, names: list[str], expected: list[str]
) -> None:
    naming = Naming(tmp_path / "out", tmp_path / "in")
    found = [naming.path_of(path, ending) for path in touch(tmp_path / "in", *names)]
    assert found == [tmp_path / "out" / f"{name}{ending}" for name in expected]


def test_what_lies_in_the_folder_already_changes_no_name(tmp_path: Path) -> None:
    (picture,) = touch(tmp_path / "in", "a.jpg")
    touch(tmp_path / "out", "a.png", "a.jpg.png", "a.webp")
    assert Naming(tmp_path / "out", tmp_path / "in").path_of(picture, ".png").name == "a.png"


def test_names_that_no_file_can_have_have_files_all_the_same(tmp_path: Path) -> None:
    naming = Naming(tmp_path / "out", tmp_path)
    assert naming.path_of(tmp_path / "nul\0" / "a.jpg", ".png") == tmp_path / "out" / "nul\0" / "a.jpg.png"
    assert len(naming.path_of(tmp_path / ("x" * 300 + ".jpg"), ".png").name) > 255


@settings(deadline=None)
@given(
    names=st.lists(
        st.builds("{}{}".format, NAMES, st.sampled_from(["", ".jpg", ".JPG", ".png", ".jpg.png", ".jpg.jpg"])),
        min_size=2,
        max_size=6,
        unique=True,
    ),
    ending=st.sampled_from(ENDINGS),
)
def test_no_two_pictures_share_a_name(tmp_path_factory: pytest.TempPathFactory, names: list[str], ending: str) -> None:
    folder = tmp_path_factory.mktemp("names")
    naming = Naming(folder / "out", folder)
    paths = touch(folder, *names)
    assert len({naming.path_of(path, ending) for path in paths}) == len(paths)
