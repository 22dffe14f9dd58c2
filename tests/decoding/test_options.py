from __future__ import annotations

import dataclasses
from typing import Any, get_type_hints

import pytest

from capcli.decoding.options import DecodingKeywords, DecodingOptions
from capcli.errors import UsageError


def test_keywords_are_the_fields() -> None:
    fields = {field.name for field in dataclasses.fields(DecodingOptions)}
    hints = {name: hint for name, hint in get_type_hints(DecodingOptions).items() if name in fields}
    assert get_type_hints(DecodingKeywords) == hints
    assert not DecodingKeywords.__required_keys__


def test_the_ends_of_the_ranges_are_allowed() -> None:
    assert DecodingOptions(beam_size=1, max_length=1, length_penalty=0).beam_size == 1
    assert DecodingOptions(beam_size=32, min_length=40, max_length=40, length_penalty=4.0).max_length == 40
    assert DecodingOptions(sample=True, temperature=0.05, top_p=1e-9, top_k=10**9, seed=10**100).top_p == 1e-9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam_size": 0}, "beam_size must be a whole number from 1 to 32, not 0"),
        ({"beam_size": 2.5}, "beam_size must be a whole number from 1 to 32, not 2.5"),
        ({"max_length": 41}, "max_length must be a whole number from 1 to 40, not 41"),
        ({"max_length": "9"}, "max_length must be a whole number from 1 to 40, not '9'"),
        ({"length_penalty": -0.1}, "length_penalty must be a number from 0 to 4, not -0.1"),
        ({"length_penalty": float("nan")}, "length_penalty must be a number from 0 to 4, not nan"),
        ({"length_penalty": True}, "length_penalty must be a number from 0 to 4, not True"),
        ({"num_captions": True}, "num_captions must be a whole number from 1 to 32, not True"),
        ({"num_captions": 33}, "num_captions must be a whole number from 1 to 32, not 33"),
        ({"min_length": -1}, "min_length must be a whole number from 0 to 40, not -1"),
        ({"sample": 1}, "sample must be true or false, not 1"),
        ({"sample": True, "temperature": 0.0}, "temperature must be a number from 0.05 to 10, not 0.0"),
        ({"sample": True, "temperature": float("nan")}, "temperature must be a number from 0.05 to 10, not nan"),
        ({"sample": True, "top_p": 0}, "top_p must be a number above 0 and at most 1, not 0"),
        ({"sample": True, "top_p": 1.1}, "top_p must be a number above 0 and at most 1, not 1.1"),
        ({"sample": True, "top_k": -1}, "top_k must be a whole number of at least 0, not -1"),
        ({"seed": -1}, "seed must be a whole number of at least 0, not -1"),
        ({"seed": 10**101}, r"seed is beyond 1e\+100, larger than any number of use"),
        ({"seed": 1.0}, "seed must be a whole number of at least 0, not 1.0"),
        ({"prefix": 3}, "prefix must be text, not 3"),
        ({"min_confidence": 1.5}, "min_confidence must be a number from 0 to 1, not 1.5"),
    ],
)
def test_values_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"^{message}$"):
        DecodingOptions(**options)


@pytest.mark.parametrize("option", [{"temperature": 0.7}, {"top_p": 0.9}, {"top_k": 5}])
def test_options_of_sampling_need_it(option: dict[str, Any]) -> None:
    name = next(iter(option)).replace("_", "-")
    with pytest.raises(UsageError, match=f"^{name} needs sampling: add --sample, in Python sample=True$"):
        DecodingOptions(**option)
    assert DecodingOptions(sample=True, **option) != DecodingOptions(sample=True)


@pytest.mark.parametrize("option", [{"beam_size": 3}, {"word_weight": 0.5}])
def test_options_of_searches_are_refused_with_sampling(option: dict[str, Any]) -> None:
    name = next(iter(option)).replace("_", "-")
    for own, asked in (({}, {"sample": True}), ({"sample": True}, {})):
        with pytest.raises(UsageError, match=f"^{name} is for a search, and sample draws captions without one;"):
            DecodingOptions(**own).replace(**option, **asked)
    assert DecodingOptions(sample=True).replace(**option, sample=False) == DecodingOptions(**option)
    assert DecodingOptions(**option).replace(sample=True) == DecodingOptions(**option, sample=True)


@pytest.mark.parametrize("option", [{"length_penalty": 2.0}, {"rerank": 1.0}])
def test_a_single_sampled_caption_is_put_in_no_order(option: dict[str, Any]) -> None:
    name = next(iter(option)).replace("_", "-")
    with pytest.raises(UsageError, match=f"^{name} orders captions, and sample draws a single one; leave it out"):
        DecodingOptions().replace(**option, sample=True)
    assert DecodingOptions().replace(**option, sample=True, num_captions=2).sample
    assert DecodingOptions(num_captions=2, sample=True).replace(**option).num_captions == 2


@pytest.mark.parametrize("prefix", ["a\nb", "a\n", "\r", "a\u2028b"])
def test_a_prefix_is_one_line(prefix: str) -> None:
    with pytest.raises(UsageError, match=r"^prefix must be one line$"):
        DecodingOptions(prefix=prefix)


def test_the_shortest_caption_is_no_longer_than_the_longest() -> None:
    assert DecodingOptions(min_length=5, max_length=5).min_length == 5
    with pytest.raises(UsageError, match=r"^min-length 6 is above max-length 5; change one of them$"):
        DecodingOptions(min_length=6, max_length=5)


def test_other_values_leave_the_rest_and_are_checked() -> None:
    options = DecodingOptions(beam_size=7)
    assert options.replace(max_length=9) == DecodingOptions(beam_size=7, max_length=9)
    assert options.replace() == options
    with pytest.raises(UsageError, match=r"^no option is called 'beamsize'; near it: beam_size$"):
        options.replace(beamsize=3)
    with pytest.raises(UsageError, match="max_length must be a whole number from 1 to 40, not 0"):
        options.replace(max_length=0)


def test_every_option_tells_what_it_is_for_and_its_range() -> None:
    for option in dataclasses.fields(DecodingOptions):
        assert option.metadata["help"].endswith(".")
        least, most = option.metadata["min"], option.metadata["max"]
        assert least is None or least <= option.default
        assert (least is None or option.metadata["above"] is None) and (
            most is None or option.metadata["below"] is None
        )
        assert most is None or option.default <= most


def test_options_that_sample_no_more_keep_nothing_of_sampling() -> None:
    sampled = DecodingOptions(sample=True, temperature=0.5, top_p=0.9, top_k=7, beam_size=5)
    assert sampled.replace(sample=False) == DecodingOptions(beam_size=5)
    with pytest.raises(UsageError, match="temperature needs sampling"):
        sampled.replace(sample=False, temperature=0.7)
