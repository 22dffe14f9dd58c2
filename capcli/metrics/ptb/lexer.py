"""A lexer that takes the longest match, as those made by lex, flex and JFlex do.

Python's `re` takes the first alternative that fits. Here all rules together become one automaton (Thompson,
CACM 11(6), 1968); its deterministic states (Rabin and Scott, IBM J. 3(2), 1959) are made when a text first needs them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial, reduce
from typing import NamedTuple

_NO_RULE = -1
_PIECE = re.compile(
    r"\(\?i?:|[)|*+?]|\{\d+(?:,\d+)?\}|\[(?:\\.|[^\]\\])+\]|\\(?:u.{4}|x..|[^ABZb])|[^\\()|*+?{}\[\]^$]", re.DOTALL
)


class Rule(NamedTuple):
    """What a lexeme looks like, what it becomes, and what it has to stand before.

    Patterns are regular expressions made of characters, escaped characters, `[...]`, `(?:...)`, `(?i:...)`, `|`, `*`,
    `+`, `?`, `{m}` and `{m,n}`; they match what they match in `re`. None may match the empty string.

    Attributes:
        pattern: the lexeme.
        token: makes the token of the lexeme, or None if it is to be left out.
        follow: what has to come next, if anything. It counts towards the length by which rules compete. The lexeme
            ends where `follow` begins, and where that is ambiguous, at the last such place.
    """

    pattern: str
    token: Callable[[str], str | None]
    follow: str = ""


class Lexer:
    """Cuts texts into the lexemes of rules: always the longest one, by the first of the rules that agree on it.

    A character with which no lexeme begins is left out. Threads may share a lexer: states are only ever added.

    Raises:
        ValueError: if a pattern is not what a `Rule` says.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules
        self._symbols = _Symbols()
        starts = []
        for number, rule in enumerate(rules):
            node = _Node(rule=number)
            if rule.follow:
                node = _parse(rule.follow, self._symbols)(node)
            starts.append(_parse(rule.pattern, self._symbols)(node))
        self._start = _Automaton(self._symbols).state(starts)

    def scan(self, text: str) -> Iterator[str]:
        """The tokens of `text`, in order."""
        symbols = text.translate(self._symbols)
        start = 0
        while start < len(text):
            number, end = self._match(symbols, start)
            if number == _NO_RULE:
                start += 1
                continue
            rule = self._rules[number]
            if rule.follow:
                end = _without_follow(rule, text, start, end)
            token = rule.token(text[start:end])
            if token is not None:
                yield token
            start = end

    def _match(self, symbols: str, start: int) -> tuple[int, int]:
        number, end = _NO_RULE, start
        state = self._start
        for position in range(start, len(symbols)):
            state = state[symbols[position]]
            if state.rule != _NO_RULE:
                number, end = state.rule, position + 1
            elif not state.edges:
                break
        return number, end


def _without_follow(rule: Rule, text: str, start: int, end: int) -> int:
    # Compiled here, as few rules with a follow are ever met; `re` remembers them.
    pattern, follow = re.compile(rule.pattern), re.compile(rule.follow)
    return next(
        middle
        for middle in range(end - 1, start, -1)
        if follow.fullmatch(text, middle, end) and pattern.fullmatch(text, start, middle)
    )


class _Symbols(dict[int, str]):
    """For `str.translate`: code point -> the symbol of all characters that lie in the same sets as this one."""

    def __init__(self) -> None:
        self._sets: dict[str, re.Pattern[str]] = {}
        self._symbols: dict[tuple[str, ...], str] = {}
        self.sets_of: dict[str, frozenset[str]] = {}

    def add(self, characters: str) -> None:
        """Makes a set of characters, in `re`'s notation, one that symbols tell apart."""
        self._sets[characters] = re.compile(characters)

    def __missing__(self, code_point: int) -> str:
        sets = tuple(name for name, pattern in self._sets.items() if pattern.match(chr(code_point)))
        symbol = self._symbols.setdefault(sets, chr(code_point))
        self.sets_of[symbol] = frozenset(sets)
        self[code_point] = symbol
        return symbol


class _Node:
    """A state of the non-deterministic automaton: one edge over a set of characters, or jumps, or a rule's end."""

    __slots__ = ("characters", "rule", "targets")

    def __init__(self, characters: str = "", targets: Sequence[_Node] = (), rule: int = _NO_RULE) -> None:
        self.characters = characters
        self.targets = list(targets)
        self.rule = rule

    def reached(self) -> frozenset[_Node]:
        """The nodes with an edge or a rule to which jumps lead from here."""
        seen: set[_Node] = set()
        waiting = [self]
        while waiting:
            node = waiting.pop()
            if node not in seen:
                seen.add(node)
                if not node.characters:
                    waiting += node.targets
        return frozenset(node for node in seen if node.characters or node.rule != _NO_RULE)


class _State(dict[str, "_State"]):
    """A state of the deterministic automaton: symbol -> the next state.

    Attributes:
        rule: the number of the first rule that matches what led here.
        edges: set of characters -> the nodes to which it leads; none where nothing longer can match.
    """

    __slots__ = ("automaton", "edges", "rule")

    def __init__(self, automaton: _Automaton, nodes: frozenset[_Node]) -> None:
        self.automaton = automaton
        self.rule = min((node.rule for node in nodes if node.rule != _NO_RULE), default=_NO_RULE)
        self.edges: dict[str, list[_Node]] = {}
        for node in nodes:
            if node.characters:
                self.edges.setdefault(node.characters, []).extend(node.targets)

    def __missing__(self, symbol: str) -> _State:
        sets = self.edges.keys() & self.automaton.symbols.sets_of[symbol]
        state = self[symbol] = self.automaton.state(node for name in sets for node in self.edges[name])
        return state


class _Automaton:
    def __init__(self, symbols: _Symbols) -> None:
        self.symbols = symbols
        self._reached: dict[_Node, frozenset[_Node]] = {}
        self._states: dict[frozenset[_Node], _State] = {}

    def state(self, nodes: Iterable[_Node]) -> _State:
        """The one state of these nodes and of all to which they jump."""
        reached: set[_Node] = set()
        for node in nodes:
            if node not in self._reached:
                self._reached[node] = node.reached()
            reached |= self._reached[node]
        key = frozenset(reached)
        if key not in self._states:
            self._states[key] = _State(self, key)
        return self._states[key]


# A pattern that was read: given the node that comes after it, it makes its own nodes and returns the first.
_Piece = Callable[[_Node], _Node]


def _parse(pattern: str, symbols: _Symbols) -> _Piece:
    pieces = _PIECE.findall(pattern)
    known = "".join(pieces) == pattern
    pieces.reverse()
    end = _Node(rule=0)
    try:
        piece = _alternatives(pieces, symbols, ignore_case=False)
    except IndexError:
        known = False
    if pieces or not known or end in piece(end).reached():
        raise ValueError(f"not a pattern that a rule may have: {pattern!r}")
    return piece


def _alternatives(pieces: list[str], symbols: _Symbols, *, ignore_case: bool) -> _Piece:
    branches = [_sequence(pieces, symbols, ignore_case=ignore_case)]
    while pieces and pieces[-1] == "|":
        pieces.pop()
        branches.append(_sequence(pieces, symbols, ignore_case=ignore_case))
    if len(branches) == 1:
        return branches[0]
    return lambda after: _Node(targets=[branch(after) for branch in branches])


def _sequence(pieces: list[str], symbols: _Symbols, *, ignore_case: bool) -> _Piece:
    parts: list[_Piece] = []
    while pieces and pieces[-1] not in ("|", ")"):
        piece = pieces.pop()
        if piece in ("(?:", "(?i:"):
            parts.append(_alternatives(pieces, symbols, ignore_case=ignore_case or piece == "(?i:"))
            pieces.pop()
        elif piece in ("*", "+", "?") or piece.startswith("{"):
            parts.append(_repeat(parts.pop(), piece))
        else:
            characters = f"(?i:{piece})" if ignore_case else piece
            symbols.add(characters)
            parts.append(partial(_edge, characters))
    return lambda after: reduce(lambda node, part: part(node), reversed(parts), after)


def _edge(characters: str, after: _Node) -> _Node:
    return _Node(characters, [after])


def _repeat(part: _Piece, quantifier: str) -> _Piece:
    if quantifier.startswith("{"):
        least, _, most = quantifier.strip("{}").partition(",")
        low, high = int(least), int(most or least)
    else:
        low, high = int(quantifier == "+"), 1

    def repeated(after: _Node) -> _Node:
        node = after
        if quantifier in ("*", "+"):
            node = _Node(targets=[after])
            node.targets.append(part(node))
        else:
            for _ in range(high - low):
                node = _Node(targets=[part(node), after])
        for _ in range(low):
            node = part(node)
        return node

    return repeated
