"""TOML that is written from tables, and read again."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from behemoth.support.errors import ArgumentError
from behemoth.support.toml import read_toml, written_toml

_TEXTS = st.text(st.characters(codec="utf-8"), max_size=6)
_VALUES = st.recursive(
    st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False) | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(_TEXTS, _VALUES, max_size=4))
def test_what_is_written_is_read(table):
    assert read_toml(written_toml(table)) == table


def test_values_of_numpy_tuples_and_paths(tmp_path):
    table = {"a": (np.int64(3), np.float32(0.5)), "b": {"at": tmp_path, "on": True}}
    assert read_toml(written_toml(table)) == {
        "a": [3, 0.5], "b": {"at": str(tmp_path), "on": True},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"world": {"subjects": None}}, "'world.subjects': got nothing, allowed: a table, a list"),
        ({"method": [{"name": {"a": {1, 2}}}]}, r"'method.name.a': got \{1, 2\}, allowed"),
        ({3: 1}, "'key': got 3, allowed: a text"),
    ],
)
def test_other_values_are_refused_by_their_place(table, said):
    with pytest.raises(ArgumentError, match=said):
        written_toml(table)


NAMES = ("a.", "a . ", "'a'.", '"a".', r'"\"".')


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("line", ["{}b = 1", "[{}b]", "[[{}b]]", "c = {{ {}b = 1 }}"])
@pytest.mark.timeout(60)
def test_a_key_of_many_names_is_refused_at_once(name, line):
    """tomllib would take hours."""
    with pytest.raises(ValueError, match=r"A key has more than 100 names \(at line 2\)"):
        read_toml("a = 1\n" + line.format(name * 500_000))
    read_toml(line.format(name * 99))


@pytest.mark.parametrize(
    "line", ["a" * 200_000, "a.b.c " * 30_000, "\"'" * 100_000, 'a = "' + r"\"" * 100_000]
)
@pytest.mark.timeout(60)
def test_what_is_no_such_key_is_looked_at_once(line):
    with pytest.raises(ValueError, match="at "):
        read_toml(line)


def test_points_in_values_are_no_keys():
    text = "a = [" + "0.5, " * 200 + "]\nb = '" + "... " * 200 + "'\n"
    assert len(read_toml(text)["a"]) == 200
    words = "Yes. " * 200
    assert read_toml(f"a = '{words}'  # {words}\n#{words}") == {"a": words}
