"""What the documents say that can be held against the code: commands, options, links, Python, tables of options."""

from __future__ import annotations

import contextlib
import io
import re
import runpy
import shlex
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import option_tables

REPOSITORY = Path(__file__).parents[2]

_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_LINK = re.compile(r"\]\(([^()\s]+)\)|(?:src|href)=\"([^\"]+)\"")
_TABLE = re.compile(r"option_tables\.table\((.*?)\) *\)")


@dataclass(frozen=True)
class Line:
    """A line of a document.

    Attributes:
        file: the document.
        number: of the line, from 1 on.
        text: the line, or the part of it that is meant.
    """

    file: Path
    number: int
    text: str

    def __str__(self) -> str:
        return f"{self.file.relative_to(REPOSITORY)}:{self.number}: {self.text}"


def documents() -> list[Path]:
    """Every document for users and contributors."""
    patterns = ("*.md", "docs/**/*.md", "weights/*.md", "examples/*.md", "tests/everyday/*.md")
    found = sorted(file for pattern in patterns for file in REPOSITORY.glob(pattern))
    # What changed once is not what holds now.
    return [file for file in found if file.name != "CHANGELOG.md"]


def commands(file: Path) -> Iterator[tuple[Line, list[str]]]:
    """The words of every command in a document's blocks of sh and console, whatever program it is of."""
    for line in _blocks(file, "sh", "console"):
        for words in split(line.text):
            yield line, words


def mentions(file: Path) -> Iterator[Line]:
    """What stands as code within a document's sentences and tables."""
    for number, text in _prose(file):
        for code in _CODE.findall(text):
            yield Line(file, number, code)


def links(file: Path) -> Iterator[Line]:
    """The targets of a document's links and pictures that are no web addresses."""
    for number, text in _prose(file):
        for target in _LINK.findall(_CODE.sub("", text)):
            if ":" not in "".join(target).split("/")[0]:
                yield Line(file, number, "".join(target))


def anchors(file: Path) -> set[str]:
    """What links into a document may name, as GitHub makes it from headings."""
    found: set[str] = set()
    for _, text in _prose(file):
        if heading := re.fullmatch(r"#+ +(.*?) *", text):
            slug = re.sub(r"[^\w\- ]", "", re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading[1])).lower().replace(" ", "-")
            numbered = (f"{slug}-{number}" for number in range(1, 100))
            found.add(
                slug if slug not in found else next(candidate for candidate in numbered if candidate not in found)
            )
    return found


def python_blocks(file: Path) -> Iterator[str]:
    """The Python programs in a document."""
    lines: dict[int, list[str]] = {}
    for block, line in _numbered_blocks(file, "python"):
        lines.setdefault(block, []).append(line.text)
    yield from ("\n".join(block) for block in lines.values())


def shown_tables(file: Path) -> Iterator[tuple[str, ...]]:
    """A command, and the titles of those of its options that a page has a table of."""
    for arguments in _TABLE.findall(file.read_text(encoding="utf-8")):
        yield tuple(re.findall(r'"([^"]*)"', arguments))


def refusal(words: list[str], *, whole: bool = True) -> str | None:
    """Why capcli would not take a command line; None if it would. Nothing is run.

    Args:
        words: what follows `capcli`.
        whole: whether an argument that is missing counts.
    """
    known = option_tables.commands()
    name = next((name for name in (" ".join(words[:2]), "".join(words[:1])) if name in known), None)
    if name is None:
        groups = {name.split()[0] for name in known if " " in name}
        return None if not whole and " ".join(words) in groups else f"no such command: {' '.join(words[:2])}"
    rest = words[len(name.split()) :]
    if "--help" in rest or "-h" in rest:
        return None
    try:
        known[name].make_context(name, list(rest))
    except Exception as error:
        message = error.format_message() if hasattr(error, "format_message") else repr(error)
        return None if message.startswith("Missing") and not whole else message
    return None


def option_names() -> set[str]:
    """The names of all options of all commands of capcli."""
    names = {"--help", "-h", "--version", "-V", "--install-completion", "--show-completion"}
    return names.union(
        *(option.names for name in option_tables.commands() for option in option_tables.options_of(name))
    )


def refusal_of_script(words: list[str]) -> str | None:
    """The same of a script of benchmarks/ and what follows it, by its own parser."""
    script = REPOSITORY / words[0]
    if not script.is_file():
        return f"no such script: {words[0]}"
    parse, stderr = ArgumentParser.parse_args, io.StringIO()

    def parse_and_stop(parser: ArgumentParser, *arguments: Any) -> None:
        parse(parser, *arguments)
        raise _Parsed

    patches: list[contextlib.AbstractContextManager[object]] = [
        mock.patch.object(ArgumentParser, "parse_args", parse_and_stop),
        mock.patch.object(sys, "argv", list(words)),
        mock.patch.object(sys, "path", [str(script.parent), *sys.path]),
        contextlib.redirect_stderr(stderr),
    ]
    with contextlib.ExitStack() as stack:
        for patch in patches:
            stack.enter_context(patch)
        try:
            runpy.run_path(str(script), run_name="__main__")
        except _Parsed:
            return None
        except SystemExit:
            return stderr.getvalue().strip()
    return "it ends without reading its command line"


class _Parsed(BaseException):
    """A script has read its command line."""


def _prose(file: Path) -> Iterator[tuple[int, str]]:
    """The lines outside of code blocks and comments, with their numbers."""
    text = _COMMENT.sub(lambda comment: "\n" * comment[0].count("\n"), file.read_text(encoding="utf-8"))
    fence = ""
    for number, line in enumerate(text.splitlines(), 1):
        if mark := re.match(r" *(```+)", line):
            fence = "" if fence else mark[1]
        elif not fence:
            yield number, line


def _numbered_blocks(file: Path, *languages: str) -> Iterator[tuple[int, Line]]:
    """The lines of the code blocks in some languages, each with the number of its block."""
    language, block = None, 0
    for number, text in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if mark := re.match(r" *```+(\w*)", text):
            language, block = (mark[1], block + 1) if language is None else (None, block)
        elif language in languages:
            yield block, Line(file, number, text)


def _blocks(file: Path, *languages: str) -> Iterator[Line]:
    """The commands of code blocks: lines of sh, and those of console after `$ `; what a backslash joins is one."""
    console = {line.number for _, line in _numbered_blocks(file, "console")}
    begun: Line | None = None
    for _, line in _numbered_blocks(file, *languages):
        text = line.text
        if begun is not None:
            text = begun.text + text
        elif line.number in console:
            if not text.startswith("$ "):
                continue
            text = text.removeprefix("$ ")
        first = begun.number if begun is not None else line.number
        begun = Line(file, first, text.removesuffix("\\")) if text.endswith("\\") else None
        if begun is None:
            yield Line(file, first, text)


def split(text: str) -> Iterator[list[str]]:
    """The words of each command in a line of shell, without what redirects its streams."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars="|&;<>()")
    lexer.whitespace_split = True
    words: list[str] = []
    skip = False
    for word in lexer:
        if skip:
            skip = False
        elif set(word) <= set("|&;()"):
            yield words
            words = []
        elif set(word) <= set("<>&"):
            skip = True
        else:
            words.append(word)
    yield words
