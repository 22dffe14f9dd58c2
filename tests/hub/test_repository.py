"""Models of Hugging Face on this machine, found and refused without the network and before anything is loaded."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from capcli.cli import app
from capcli.errors import ModelError, UsageError
from capcli.hub.families import FAMILIES, check_prompt, family_of
from capcli.hub.repository import Repository, go_offline, parse_name
from capcli.hub.settings import keep_calibration, own_options, read_calibration
from capcli.known import know_model
from capcli.modelfile.confidence import Calibration

pytest.importorskip("huggingface_hub")

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache; a model is in it at a commit that is no longer called main."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "hub"


def make(folder: Path, **changes: str | None) -> Path:
    """A model without weights, which nothing loads here."""
    folder.mkdir(parents=True)
    contents = {
        "config.json": json.dumps({"model_type": "git"}),
        "model.safetensors": "weights",
        "preprocessor_config.json": "{}",
        "tokenizer.json": "{}",
        **{name.replace("__", "."): text for name, text in changes.items()},
    }
    for name, text in contents.items():
        if text is not None:
            (folder / name).write_text(text)
    return folder


def test_names() -> None:
    assert parse_name("hf:a/b") == ("a/b", None)
    assert parse_name("hf:Salesforce/blip-base@v1.0") == ("Salesforce/blip-base", "v1.0")
    for name in ("hf:", "hf:a", "hf:a/b/c", "hf:../b", "hf:a/..", "hf:a /b", "hf:a/b@", "hf:-/b"):
        with pytest.raises(UsageError, match="is no model's name"):
            parse_name(name)


def test_a_model_is_found_by_main_by_revision_or_alone(cache: Path) -> None:
    home = cache / "models--me--git"
    make(home / "snapshots" / COMMIT)
    assert Repository.find("hf:me/git").revision == COMMIT
    assert Repository.find(f"hf:me/git@{COMMIT[:7]}").folder == home / "snapshots" / COMMIT
    other = COMMIT[::-1]
    make(home / "snapshots" / other)
    with pytest.raises(ModelError, match=f"is here in 2 revisions; name one, as in hf:me/git@{COMMIT[:12]}"):
        Repository.find("hf:me/git")
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(other)
    assert Repository.find("hf:me/git").revision == other
    with pytest.raises(ModelError, match="that revision is not on this machine"):
        Repository.find("hf:me/git@dev")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"config__json": None}, "is only half there: .* has no config.json; `capcli models pull hf:me/git` goes on"),
        ({"config__json": "["}, "config.json: cannot be read"),
        ({"config__json": "[]"}, "is no JSON object"),
        ({"config__json": "{}"}, "does not say of which family it is; capcli knows the captioners BLIP, GIT, ViT-GPT2"),
        ({"config__json": '{"model_type": "t5"}'}, "is of the family 't5'; capcli knows"),
        ({"config__json": '{"model_type": ["git"]}'}, "does not say of which family"),
        ({"config__json": '{"model_type": "git", "auto_map": {"x": "y"}}'}, "needs code of its own"),
        ({"model__safetensors": None}, "lacks model.safetensors in .*; `capcli models pull hf:me/git` goes on"),
        (
            {"model__safetensors": None, "pytorch_model__bin": ""},
            "no weights in safetensors, and capcli opens no pickle",
        ),
        ({"tokenizer__json": None}, "lacks tokenizer.json"),
        ({"preprocessor_config__json": None}, "lacks preprocessor_config.json"),
        (
            {
                "model__safetensors__index__json": json.dumps(
                    {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
                )
            },
            "lacks model-2.safetensors",
        ),
        ({"model__safetensors__index__json": "{}"}, "names no weights"),
    ],
)
def test_models_that_cannot_be_used_are_refused_in_a_line(changes: dict[str, Any], message: str, cache: Path) -> None:
    make(cache / "models--me--git" / "snapshots" / COMMIT, **changes)
    with pytest.raises(ModelError, match=message) as refused:
        Repository.find("hf:me/git")
    assert len(str(refused.value).splitlines()) == 1


def test_a_folder_is_a_model_too(cache: Path, tmp_path: Path) -> None:
    found = know_model(make(tmp_path / "mine"))
    assert (found.identity.name, found.identity.revision, found.matches) == ("mine", None, False)
    with pytest.raises(ModelError, match=r"empty is no model: .* has no config.json; copy it again"):
        know_model((tmp_path / "empty").mkdir() or tmp_path / "empty")


def test_the_identity_is_that_of_the_content(cache: Path, tmp_path: Path) -> None:
    first = know_model(make(tmp_path / "a")).identity.sha256
    assert know_model(make(tmp_path / "b", README__md="other words")).identity.sha256 == first
    assert know_model(make(tmp_path / "c", model__safetensors="others")).identity.sha256 != first
    assert know_model(make(tmp_path / "d", generation_config__json='{"num_beams": 2}')).identity.sha256 != first


def test_own_options_are_the_checkpoints(cache: Path, tmp_path: Path) -> None:
    config = '{"num_beams": 4, "length_penalty": 0.5, "do_sample": true, "temperature": 0.7}'
    options = own_options(Repository.find(make(tmp_path / "a", generation_config__json=config)))
    assert (options.beam_size, options.length_penalty, options.sample, options.no_repeat_ngram) == (4, 0.5, False, 0)
    odd = own_options(Repository.find(make(tmp_path / "b", generation_config__json='{"num_beams": "many"}')))
    assert odd.beam_size == 1


def test_a_fitted_confidence_is_kept_beside_and_changes_the_origin(cache: Path, tmp_path: Path) -> None:
    found = Repository.find(make(tmp_path / "mine"))
    before = {file: file.read_bytes() for file in found.folder.iterdir()}
    assert read_calibration(found) is None and know_model(found.folder).beside == {}
    place = keep_calibration(found, Calibration(2.0, 1.0, ((0.0, 0.5, 60),)), {"captions": 60})
    assert place.is_relative_to(tmp_path / "data")
    assert {file: file.read_bytes() for file in found.folder.iterdir()} == before
    kept = read_calibration(found)
    assert kept is not None and kept[0].slope == 2.0
    assert know_model(found.folder).beside == {"calibration": kept[1]}
    place.write_text("{}")
    with pytest.raises(ModelError, match=r"cannot be used .*; remove it, or fit it again"):
        read_calibration(found)


def test_without_the_extra_a_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UsageError, match=r'^hf:a/b needs transformers .*: pip install "capcli\[hf\]"$'):
        Repository.find("hf:a/b")


def test_the_network_is_forbidden_even_to_what_is_imported_already(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    go_offline()
    assert constants.HF_HUB_OFFLINE


def test_families_say_what_they_take() -> None:
    assert family_of("x", "blip").methods == ("gradient", "attention", "occlusion")
    assert family_of("x", "qwen3_vl").methods == ("occlusion",)
    check_prompt(FAMILIES["florence2"], "x", "<DETAILED_CAPTION>", "")
    check_prompt(FAMILIES["blip"], "x", "", "a photograph of")
    with pytest.raises(UsageError, match="--prefix gives the first words of its captions"):
        check_prompt(FAMILIES["blip"], "x", "what?", "")
    with pytest.raises(UsageError, match="--prompt says what it is asked"):
        check_prompt(FAMILIES["smolvlm"], "x", "", "a dog")
    for family in FAMILIES.values():
        assert family.checkpoints and family.name


@pytest.mark.parametrize(
    "arguments",
    [
        ["compress", "hf:me/git", "--int8", "-o", "x.safetensors"],
        ["models", "compare", "base", "hf:me/git"],
        ["caption", "a.png", "--model", "base", "--lm", "hf:me/git"],
        ["caption", "a.png", "--model", "hf:me/git", "--keywords", "3"],
        ["caption", "a.png", "--model", "hf:me/git", "-o", "x.csv"],
        ["models", "calibrate", "base", "--data", "."],
        ["eval", ".", "--model", "hf:me/git", "--retrieval"],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_what_is_for_other_models_is_refused_in_a_line(
    arguments: list[str], cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.png").write_bytes(b"")
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert done.stderr.startswith("capcli: error: ") and len(done.stderr.splitlines()) == 1
