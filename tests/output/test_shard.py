"""Which shard a picture belongs to, and what a shard's record says."""

from __future__ import annotations

import unicodedata
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capcli.errors import UsageError
from capcli.output.shard import Shard, Share, shared_name

NAMES = st.lists(st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=8), unique=True, max_size=30)


@pytest.mark.parametrize(
    "text", ["0/4", "5/4", "x/y", "3", "", "3/", "/4", "1/0", "-1/4", "1/4/2", "1.0/4", "1/9999999"]
)
def test_what_is_no_shard_is_one_line(text: str) -> None:
    with pytest.raises(UsageError, match="--shard") as refused:
        Shard.parse(text)
    assert "\n" not in str(refused.value)


@given(NAMES, st.integers(1, 40))
def test_every_picture_is_in_one_shard(names: list[str], of: int) -> None:
    pictures = [Path("/all", f"_{name}") for name in names]
    shares = [Share.of(Shard(number, of), pictures, Path("/all")) for number in range(1, of + 1)]
    assert sorted(place for share in shares for place in share.places) == list(range(len(pictures)))
    assert sorted(picture for share in shares for picture in share.pictures) == sorted(pictures)


def test_a_picture_has_the_same_shard_wherever_the_folder_is_mounted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    composed, apart = (unicodedata.normalize(form, "Lübeck/é.jpg") for form in ("NFC", "NFD"))
    spellings = [
        shared_name(Path("/mnt/a", composed), Path("/mnt/a")),
        shared_name(Path("/data/photos", apart), Path("/data/photos")),
        shared_name(Path(composed), tmp_path),
        shared_name(tmp_path / "x" / ".." / composed, tmp_path),
    ]
    assert set(spellings) == {composed.encode()}


def test_these_pictures_have_these_shards_on_every_machine_and_in_every_version() -> None:
    found = [next(n for n in range(1, 65) if Shard(n, 64).holds(name)) for name in (b"a.jpg", b"2019/b.png", b"\xff")]
    assert found == [10, 14, 18]


@pytest.mark.slow
def test_shards_are_of_nearly_one_size() -> None:
    pictures = [Path(f"/all/{number}.jpg") for number in range(6400)]
    sizes = Counter(len(Share.of(Shard(number, 64), pictures, Path("/all")).places) for number in range(1, 65))
    assert min(sizes) > 65
    assert max(sizes) < 140


@given(st.integers(0, 100), st.integers(1, 16), st.integers(1, 7))
def test_a_picture_knows_how_many_are_computed_with_it_in_the_whole_run(total: int, batch: int, of: int) -> None:
    pictures = [Path(f"/all/{number}.jpg") for number in range(total)]
    batches = [pictures[start : start + batch] for start in range(0, total, batch)]
    for share in (Share.of(Shard(number, of), pictures, Path("/all")) for number in range(1, of + 1)):
        together = share.together(batch)
        assert all(
            together(picture) == len(group) for group in batches for picture in group if picture in share.pictures
        )


def test_a_record_is_read_back(tmp_path: Path) -> None:
    odd = Path("b\udcff\n.jpg")
    share = Share.of(Shard(1, 1), [Path("a.jpg"), odd], Path.cwd()).ended({odd})
    share.write(tmp_path / "rows.jsonl")
    assert Share.read(tmp_path / "rows.jsonl") == share
    assert share.without == (1,)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"shard": 1, "of": 1, "pictures": ["a"], "places": []}', b"\xff"]
)
def test_a_record_that_says_nothing_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".rows.jsonl.shard.json").write_bytes(content)
    with pytest.raises(UsageError, match="does not say what"):
        Share.read(tmp_path / "rows.jsonl")
