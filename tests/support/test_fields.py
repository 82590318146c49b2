import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pytest

from behemoth import ArgumentError
from behemoth.support import fields
from behemoth.support.fields import made


@dataclass(frozen=True)
class Thing:
    name: str
    kind: Literal["round", "square"] = "round"
    count: int | None = None
    share: float = 0.5
    whole: bool = False
    levels: tuple[int, ...] | None = None
    table: dict[str, int] | None = None

    def __post_init__(self):
        if self.share > 1:
            raise ArgumentError("share", self.share, "up to 1")


def test_values_as_a_file_has_them():
    thing = made(Thing, {"name": "a", "levels": [1, 2], "share": 1, "table": {"x": 1}})
    assert thing == Thing("a", share=1, levels=(1, 2), table={"x": 1})
    assert type(thing.share) is int  # as it was written
    thing = made(Thing, {"name": "a", "count": np.int64(3), "share": np.float32(0.25)})
    assert (type(thing.count), type(thing.share)) == (int, float)


def test_the_types_of_a_class_are_looked_up_once(monkeypatch):
    made(Thing, {"name": "a"})
    monkeypatch.setattr(fields, "get_type_hints", None)
    assert made(Thing, {"name": "b", "count": 2}) == Thing("b", count=2)


def test_values_as_a_command_line_has_them():
    words = {"name": "2", "count": "1e2", "share": "1", "whole": "True", "levels": "1,-1"}
    assert made(Thing, words, text=True) == Thing("2", "round", 100, 1.0, True, (1, -1))
    words = {"name": "none", "count": "none", "levels": "none", "kind": "square"}
    assert made(Thing, words, text=True) == Thing("none", "square")


@pytest.mark.parametrize("text", ["1,-1", "[1,-1]", "[1, -1]", " [ 1 , -1 ] "])
def test_a_list_may_stand_in_brackets(text):
    assert made(Thing, {"name": "[a]", "levels": text}, text=True) == Thing("[a]", levels=(1, -1))


@pytest.mark.parametrize("text", ["9007199254740993", "1_234_567_890_123_456_789", "-9", "+3"])
def test_a_whole_number_keeps_all_its_digits(text):
    """It went through a float, which has 53 bits."""
    assert made(Thing, {"name": "a", "count": text}, text=True).count == int(text)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "argument 'name': got nothing, allowed: a text"),
        ({"name": 1}, "argument 'name': got 1, allowed: a text"),
        (
            {"name": "a", "nane": 1},
            r"argument 'nane': got an unknown key .*mean name.*, allowed: name, ",
        ),
        ({"name": "a", "kind": "rund"}, r"'kind': got rund .*mean round.*, allowed: round, square"),
        ({"name": "a", "count": "1"}, "argument 'count': got '1', allowed: a whole number or none"),
        ({"name": "a", "count": 1.5}, "argument 'count': got 1.5, allowed: a whole number"),
        ({"name": "a", "count": True}, "argument 'count': got True, allowed: a whole number"),
        ({"name": "a", "share": None}, "argument 'share': got nothing, allowed: a number"),
        ({"name": "a", "share": 2}, "argument 'share': got 2, allowed: up to 1"),
        ({"name": "a", "whole": 1}, "argument 'whole': got 1, allowed: true or false"),
        ({"name": "a", "levels": 1}, "'levels': got 1, allowed: a list of whole numbers or none"),
        ({"name": "a", "levels": [1, "x"]}, "'levels': got .*, allowed: a list of whole numbers"),
        ({"name": "a", "table": []}, r"argument 'table': got \[\], allowed: a table or none"),
    ],
)
def test_what_is_refused(table, message):
    with pytest.raises(ArgumentError, match=message):
        made(Thing, table)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("count", "1.5"),
        ("share", "x"),
        ("whole", "1"),
        ("levels", "1,x"),
        ("levels", "[1"),
        ("levels", "[]"),
    ],
)
def test_what_text_is_refused(key, text):
    told = re.escape(f"argument '{key}': got {text}, allowed: ")
    with pytest.raises(ArgumentError, match=told):
        made(Thing, {"name": "a", key: text}, text=True)


def test_a_text_is_any_of_the_types_of_its_field():
    @dataclass(frozen=True)
    class Layers:
        layers: int | Literal["all"] = 1

    assert [made(Layers, {"layers": text}, text=True).layers for text in ("all", "3")] == ["all", 3]
    with pytest.raises(ArgumentError, match="argument 'layers': got some, allowed"):
        made(Layers, {"layers": "some"}, text=True)
