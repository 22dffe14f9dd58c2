"""The documents: every command, option, link and table in them holds."""

from __future__ import annotations

import ast
import hashlib
import re
from pathlib import Path

import documents
import floors
import option_tables
import pytest
from cogapp import Cog
from documents import REPOSITORY

from capcli.modelfile.header import read_header
from capcli.modelfile.shipped import find_model
from capcli.version import __version__

FILES = documents.documents()
PAGES = {
    *(
        "captioning",
        "metadata",
        "heatmaps",
        "evaluation",
        "training",
        "models",
        "clusters",
        "how-it-works",
        "benchmarks",
        "library",
        "video",
        "serving",
    ),
    "architecture",
}
MOST_OF_README = 10_000  # bytes

CHANGES_OF_0_1_0 = "37070968e2ba1fa0cf4f815c8c62dd02cfe98d585fbf29884c6af0614d9947e9"
"""SHA-256 of what the changelog says of that version."""

FOREIGN_OPTIONS = {"--nproc-per-node", "--check"}
"""Options of other programs that the documents name: torchrun and cog."""


def test_readme_is_short():
    assert (REPOSITORY / "README.md").stat().st_size <= MOST_OF_README


def test_every_page_has_its_place():
    assert {page.stem for page in (REPOSITORY / "docs").glob("*.md")} == PAGES


def test_the_help_names_the_longest_caption_of_base():
    longest = read_header(find_model("base")).described["decoder"]["max_length"]
    (option,) = (option for option in option_tables.options_of("caption") if "--max-length" in option.names)
    assert f"base allows {longest}." in option.text


def test_commands_of_capcli_are_taken_as_they_stand():
    found = [(line, words) for file in FILES for line, words in documents.commands(file) if "capcli" in words]
    assert len(found) > 50
    refused = [
        f"{line}\n    {why}"
        for line, words in found
        if (why := documents.refusal(words[words.index("capcli") + 1 :])) is not None
    ]
    assert not refused, "\n".join(refused)


def test_commands_of_benchmarks_are_taken_as_they_stand():
    found = {
        tuple(words[1:]): line
        for file in FILES
        for line, words in documents.commands(file)
        if words[:1] == ["python"] and words[1].startswith("benchmarks/")
    }
    assert len(found) > 10
    refused = [
        f"{line}\n    {why}"
        for words, line in found.items()
        if (why := documents.refusal_of_script(list(words))) is not None
    ]
    assert not refused, "\n".join(refused)


def test_commands_in_sentences_exist():
    found = [line for file in FILES for line in documents.mentions(file) if line.text.startswith("capcli ")]
    assert found
    refused = [f"{line}: {why}" for line in found if (why := _refusal_of_mention(line.text)) is not None]
    assert not refused, "\n".join(refused)


def _refusal_of_mention(text: str) -> str | None:
    words = next(documents.split(text))[1:]
    if words[0].startswith("-") and not set(words) - documents.option_names():
        return None
    return documents.refusal(words, whole=False)


def test_options_in_sentences_exist():
    known = documents.option_names() | FOREIGN_OPTIONS
    found = [line for file in FILES for line in documents.mentions(file) if re.match("--[a-z]", line.text)]
    assert found
    unknown = [str(line) for line in found if line.text.replace("=", " ").split()[0] not in known]
    assert not unknown, "\n".join(unknown)


def test_links_lead_to_files_and_headings():
    found = [line for file in FILES for line in documents.links(file)]
    assert found
    broken = []
    for line in found:
        path, _, anchor = line.text.partition("#")
        target = (line.file.parent / path).resolve() if path else line.file
        if not target.exists() or (anchor and anchor not in documents.anchors(target)):
            broken.append(str(line))
    assert not broken, "\n".join(broken)


def test_readme_leads_to_every_page():
    linked = {line.text.split("#")[0] for line in documents.links(REPOSITORY / "README.md")}
    assert {f"docs/{page}.md" for page in PAGES} <= linked


def test_paths_in_architecture_exist():
    path = re.compile(r"[\w.]*(/[\w.]*)*(/|\.(py|toml|md))")
    found = [line for line in documents.mentions(REPOSITORY / "docs" / "architecture.md") if path.fullmatch(line.text)]
    assert found
    missing = [str(line) for line in found if not any(REPOSITORY.glob(f"**/{line.text}"))]
    assert not missing, "\n".join(missing)


def _changelog() -> dict[tuple[str, str], str]:
    """The sections of the changelog by their version and date, in their order."""
    parts = re.split(
        r"^## \[(.*?)\](?: - (.*))?\n", (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.M
    )
    return {(version, date or ""): text for version, date, text in zip(*[iter(parts[1:])] * 3, strict=True)}


def test_changelog_begins_with_the_version_or_with_what_is_unreleased():
    titles = list(_changelog())
    if titles[0] == ("Unreleased", ""):
        del titles[0]
    assert titles[0][0] == __version__
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", date) for _, date in titles)


def test_changelog_of_a_release_stays_as_it_was():
    # A merge puts a new line where its neighbours went, which may be below an older version.
    sections = {version: text for (version, _), text in _changelog().items()}
    assert hashlib.sha256(sections["0.1.0"].encode()).hexdigest() == CHANGES_OF_0_1_0


def test_python_in_the_documents_imports_what_exists(tmp_path: Path):
    programs = []
    for number, block in enumerate(block for file in FILES for block in documents.python_blocks(file)):
        ast.parse(block)
        programs.append(tmp_path / f"{number}.py")
        programs[-1].write_text(block, encoding="utf-8")
    assert programs
    missing = floors.missing_names(programs, floors.read_modules(REPOSITORY))
    assert not missing, "\n".join(missing)


def test_tables_of_options_are_current(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(REPOSITORY)
    pages = [str(page.relative_to(REPOSITORY)) for page in sorted((REPOSITORY / "docs").glob("*.md"))]
    done = Cog().main(["cog", "--check", "--diff", "-I", "tests/helpers", *pages])
    assert done == 0, "cog -r -I tests/helpers docs/*.md writes them anew"


def test_a_stale_table_is_found(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text(
        '<!-- [[[cog import option_tables; cog.out(option_tables.table("models list")) ]]] -->\n'
        "| `--yaml` | Print YAML. |\n<!-- [[[end]]] -->\n",
        encoding="utf-8",
    )
    assert Cog().main(["cog", "--check", str(page)]) != 0
    assert Cog().main(["cog", "-r", str(page)]) == 0
    assert "| `--json` | " in page.read_text(encoding="utf-8")
    assert Cog().main(["cog", "--check", str(page)]) == 0


def test_every_option_is_in_a_table():
    shown = {
        option
        for file in FILES
        for command, *groups in documents.shown_tables(file)
        for option in option_tables.options_of(command)
        if not groups or option.group in groups
    }
    missing = [
        f"{command} {option.names[-1]}"
        for command in option_tables.commands()
        for option in option_tables.options_of(command)
        if option not in shown
    ]
    assert not missing, "\n".join(missing)
