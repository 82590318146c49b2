"""Methods by name, and their settings from text."""

from __future__ import annotations

import dataclasses

import pytest

from behemoth import ArgumentError
from behemoth.edit.registry import get_method, method_names, method_type


def test_settings_are_read_by_the_types_of_the_fields():
    words = {"rank": "16", "layers": "1,-1", "alpha": "none", "steps": "1e2"}
    method = get_method("lora", words, text=True)
    assert (method.rank, method.layers, method.alpha, method.steps) == (16, (1, -1), None, 100)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("lor", {}, r"argument 'method': got lor, allowed: .* \(did you mean lora"),
        (
            "lora",
            {"rnak": "1"},
            r"argument 'rnak': got an unknown setting of lora, allowed: steps, .* mean rank",
        ),
        ("lora", {"rank": "x"}, "argument 'rank': got x, allowed: a whole number or none"),
        ("lora", {"part": "heads"}, "argument 'part': got heads, allowed: mlp, attention, both"),
        ("lora", {"rank": "0"}, "argument 'rank': got 0, allowed: at least 1"),
        ("ft", {"steps": "0"}, "argument 'steps': got 0, allowed: at least 1"),
        ("lora", {"part": "all"}, "got 'all' with a rank"),
    ],
)
def test_what_is_refused(name, settings, message):
    with pytest.raises(ArgumentError, match=message):
        get_method(name, settings, text=True)


@pytest.mark.parametrize("name", method_names())
def test_a_method_says_what_it_is(name):
    kind = method_type(name)
    assert kind.info.name == name and name in method_names()
    assert kind.info.source and kind.info.changes and kind.info.kinds
    assert dataclasses.is_dataclass(kind) and kind.__dataclass_params__.frozen


@pytest.mark.parametrize(
    ("name", "settings", "argument"),
    [
        ("ft_l", {"rank": "1"}, "rank"),
        ("ft_l", {"part": "attention"}, "part"),
        ("ft", {"layers": "1"}, "part"),
        ("lora", {"part": "all"}, "part"),
    ],
)
def test_settings_that_would_be_ignored_are_refused(name, settings, argument):
    with pytest.raises(ArgumentError, match=argument):
        get_method(name, settings, text=True)


@pytest.mark.parametrize("name", ["./mine.py:Floor", "mine:Floor", "mine.py", "here/mine"])
def test_a_file_or_class_is_told_how_to_become_a_method(name):
    with pytest.raises(ArgumentError, match=r"entry point of the group behemoth\.methods \(docs/"):
        get_method(name)
