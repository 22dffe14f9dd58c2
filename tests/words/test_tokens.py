from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from capcli.metrics import detokenize, tokenize
from capcli.words.tokens import spans


@pytest.mark.parametrize(
    ("caption", "tokens"),
    [
        ("A child in a pink dress .", "a child in a pink dress"),
        ("The man's dog doesn't bark.", "the man 's dog does n't bark"),
        ("They can't, won't and cannot stop!", "they ca n't wo n't and can not stop"),
        ("Two dogs' toys; a 'stop' sign", "two dogs toys a stop sign"),
        ('A shirt says "Hello" -- twice...', "a shirt says hello twice"),
        ("A black-and-white T-shirt - new", "a black-and-white t-shirt new"),
        ("a boy\nand a girl", "a boy and a girl"),
        ("rock 'n' roll at 12:43 o'clock", "rock 'n' roll at 12:43 o'clock"),
        ("The U.S. flag and St. Paul (left)", "the u.s. flag and st. paul -lrb- left -rrb-"),
        ("number #41 costs $1,650 & more", "number # 41 costs $ 1,650 & more"),
        ("it\u2019s \u201cquoted\u201d \u2013 twice", "it 's quoted twice"),
        ("bird's-eye-view", "bird 's eye-view"),
        ("gonna and/or wanna", "gon na and/or wan na"),
        ("", ""),
        (" . , ", ""),
    ],
)
def test_tokens_of_the_coco_toolkit(caption: str, tokens: str) -> None:
    assert tokenize(caption) == tokens.split()


@pytest.mark.parametrize(
    ("tokens", "sentence"),
    [
        ("a dog runs", "A dog runs."),
        ("the man 's dog does n't bark", "The man's dog doesn't bark."),
        ("a man -lrb- left -rrb- and i", "A man (left) and I."),
        ("i 'm in the u.s.", "I'm in the u.s."),
        ("", ""),
    ],
)
def test_sentences(tokens: str, sentence: str) -> None:
    assert detokenize(tokens.split()) == sentence


def test_a_full_stop_that_would_make_an_abbreviation_is_left_out() -> None:
    assert detokenize(["down", "the", "st"]) == "Down the st"


words = st.one_of(
    st.sampled_from(["a", "dog", "man's", "isn't", "cannot", "t-shirt", "I'm", "don't", "dogs'", "'n'", "o'clock"]),
    st.sampled_from(["u.s.", "d.v.d", "st.", "St", "12:43", "3,000", "(left)", "[x]", "and/or", "at&t"]),
    st.text("abcnst'-.,()&#$% 0123456789", max_size=8),
)


@given(st.lists(words, max_size=8).map(" ".join))
@example("n't n't 's 's i 'll 've")
@example("( 's ) 's [ [ a ] ]")
def test_detokenize_is_the_inverse_of_tokenize(caption: str) -> None:
    tokens = tokenize(caption)
    assert tokenize(detokenize(tokens)) == tokens


@given(st.text(max_size=60) | st.text("İIiß aA'\u2019n(…s.t", max_size=30))
@example("İstanbul\u2019s (old) town")
@example("They can't and cannot…")
def test_tokens_are_found_where_they_stand(caption: str) -> None:
    found = spans(caption)
    assert [token for token, *_ in found] == tokenize(caption)
    before = 0
    for token, start, stop in found:
        assert before <= start <= stop <= len(caption)
        assert start == stop or tokenize(caption[start:stop])[0][:1] == token[:1]
        before = stop


def test_where_tokens_stand() -> None:
    caption = "Émile\u2019s dog can't (bark)…"
    assert [caption[start:stop] for _, start, stop in spans(caption)] == [
        *("Émile", "\u2019s", "dog", "ca", "n't", "(", "bark", ")")
    ]
