from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capcli.metrics.ptb.lexer import Lexer, Rule


def scan(text: str, *patterns: str) -> list[str]:
    """Each lexeme with the number of its rule."""
    rules = [
        Rule(pattern, lambda lexeme, number=number: f"{number}{lexeme}") for number, pattern in enumerate(patterns)
    ]
    return list(Lexer(rules).scan(text))


@pytest.mark.parametrize(
    ("patterns", "text", "lexemes"),
    [
        (["a", "ab"], "aab", ["0a", "1ab"]),
        (["ab|a"], "aab", ["0a", "0ab"]),
        (["a+b", "a"], "aaac", ["1a", "1a", "1a"]),
        (["[a-c]", "b"], "ab", ["0a", "0b"]),
        (["b", "[a-c]"], "ab", ["1a", "0b"]),
        (["a{2}", "b{1,2}"], "aaabbb", ["0aa", "1bb", "1b"]),
        (["a?b*c"], "acbcabbc", ["0ac", "0bc", "0abbc"]),
        (["(?:ab|b)+"], "abbab", ["0abbab"]),
        (["(?i:Is)t"], "iSt\u0131\u017ft ist IST", ["0iSt", "0\u0131\u017ft", "0ist"]),
        ([r"\.\x41\u0042", r"[\]\-]"], ".AB]-.", ["0.AB", "1]", "1-"]),
        (["[^a]"], "a\n\U0001f600", ["0\n", "0\U0001f600"]),
        (["a"], "", []),
        (["a"], "xay", ["0a"]),
    ],
)
def test_longest_match_by_the_first_rule(patterns: list[str], text: str, lexemes: list[str]) -> None:
    assert scan(text, *patterns) == lexemes


@pytest.mark.parametrize(
    ("pattern", "follow", "text", "tokens"),
    [
        ("[a-z]+", "[.]", "ab.c", ["<ab>", ".", "c"]),
        ("[a-z]+", "[a-z]", "abc", ["<ab>", "c"]),
        ("a+", "a*b", "aab", ["<aa>", "b"]),
        ("ab?", "b*c", "abbc", ["<ab>", "b", "c"]),
    ],
)
def test_what_follows_counts_but_is_read_again(pattern: str, follow: str, text: str, tokens: list[str]) -> None:
    lexer = Lexer([Rule(pattern, lambda lexeme: f"<{lexeme}>", follow), Rule("[a-z.]", str)])
    assert list(lexer.scan(text)) == tokens


def test_a_token_can_be_left_out() -> None:
    assert list(Lexer([Rule("[a-z]+", str.upper), Rule(" ", lambda _: None)]).scan("ab  c")) == ["AB", "C"]


@pytest.mark.parametrize(
    "pattern", ["a)", "(?:a", "(a)", "*a", "a|*", "^a", "a$", r"a\b", "a{2,}", "[a", "(?=a)", "", "a*", "a|b?"]
)
def test_other_patterns_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="not a pattern that a rule may have"):
        Lexer([Rule(pattern, str)])


characters = st.sampled_from(["a", "b", "[ab]", "[^a]", "(?i:a)", r"\u0063"])
patterns = st.recursive(
    characters,
    lambda parts: (
        st.builds("{}{}".format, parts, parts)
        | st.builds("(?:{}|{})".format, parts, parts)
        | st.builds("(?:{}){}".format, parts, st.sampled_from(["*", "+", "?", "{2}", "{1,3}"]))
    ),
    max_leaves=6,
)


@given(
    st.lists(patterns.filter(lambda pattern: not re.fullmatch(pattern, "")), min_size=1, max_size=3),
    st.text("abcA", max_size=8),
)
def test_lexemes_are_those_found_by_trying_every_end(patterns: list[str], text: str) -> None:
    lexemes, start = [], 0
    while start < len(text):
        ends = [
            (end, number)
            for end in range(len(text), start, -1)
            for number, pattern in enumerate(patterns)
            if re.compile(pattern).fullmatch(text, start, end)
        ]
        end, number = ends[0] if ends else (start + 1, None)
        lexemes += [] if number is None else [f"{number}{text[start:end]}"]
        start = end
    assert scan(text, *patterns) == lexemes
