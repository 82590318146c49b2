"""What tracing found, kept in a run."""

import json

import pytest

from behemoth import ArgumentError, CorpusError
from behemoth.edit.registry import get_method, method_names
from behemoth.edit.traced import TracedSite, TraceRecord, at_traced_place, is_traced

BEST, NEXT = TracedSite("subject", 3, 0.4, 0.3, 0.5), TracedSite("prompt", 5, 0.2, 0.1, 0.3)


@pytest.fixture
def traced(tmp_path):
    TraceRecord("ab", 7, 10, 3.0, 1, 0, (BEST, NEXT)).write(tmp_path)
    return tmp_path


def test_it_is_read_as_it_was_written(traced):
    assert TraceRecord.read(traced) == TraceRecord("ab", 7, 10, 3.0, 1, 0, (BEST, NEXT))
    assert TraceRecord.read(traced / "elsewhere") is None


@pytest.mark.parametrize("name", method_names())
def test_methods_that_edit_at_a_place_take_it(traced, name):
    has_place = name in ("rome", "memit", "emmet", "encore", "alphaedit")
    settings = at_traced_place(name, {}, traced)
    assert settings == ({"token": "subject", "layers": (3,)} if has_place else {})
    method = get_method(name, settings)
    assert is_traced(method, traced) == has_place
    assert not is_traced(get_method(name), traced), "the default is another place"
    assert get_method(name, settings, text=True) == method


def test_what_is_said_goes_before(traced):
    for given in ({"layers": (1,)}, {"token": "prompt"}, {"token": "subject", "layers": (0,)}):
        assert at_traced_place("memit", given, traced) == given
    kept = at_traced_place("memit", {"steps": 3}, traced)
    assert kept == {"token": "subject", "layers": (3,), "steps": 3}


def test_without_a_trace_nothing_changes(tmp_path):
    assert at_traced_place("rome", {"steps": 3}, tmp_path) == {"steps": 3}
    assert at_traced_place("rome", None, tmp_path) == {}
    assert not is_traced(get_method("rome"), tmp_path)
    with pytest.raises(ArgumentError, match="argument 'method': got romme"):
        at_traced_place("romme", None, tmp_path)


@pytest.mark.parametrize(
    "change", [{"places": [{}]}, {"places": [[None]]}, {"facts": "many"}, {"more": 1}], ids=str
)
def test_what_is_damaged_is_refused(traced, change):
    file = traced / "trace.json"
    values = json.loads(file.read_text())
    file.write_text(json.dumps(values | change))
    with pytest.raises(CorpusError, match=r"trace\.json is damaged: it is not what was written"):
        TraceRecord.read(traced)
    del values["blake3"]
    file.write_text(json.dumps(values | change))
    with pytest.raises(CorpusError, match=r"trace\.json is damaged: it is not a valid record"):
        TraceRecord.read(traced)
    file.write_text(json.dumps(values | {"format_version": 9}))
    with pytest.raises(CorpusError, match="format version 9, and this version"):
        TraceRecord.read(traced)
