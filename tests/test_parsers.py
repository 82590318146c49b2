"""Whatever is written where Python reads: a value that means what was written, or one line."""

import json
from dataclasses import asdict

import pytest
from hypothesis import given, settings, strategies as st

import behemoth as bh
from behemoth.cli import parse
from behemoth.edit.protocol import settings_of
from behemoth.edit.registry import get_method
from behemoth.plan.request import EditRequest
from behemoth.study.file.spec import Study
from behemoth.support.errors import ArgumentError

# The same each time: what fails here fails for everybody.
often = settings(max_examples=60, derandomize=True, database=None)


def read(reader, *arguments):
    """What a reader makes of something; nothing where it refuses in one line, naming a place."""
    try:
        return reader(*arguments)
    except ArgumentError as error:
        text = str(error)
        assert text.startswith("argument '") and ", allowed: " in text
        assert len(text.splitlines()) == 1, text
        return None


# Text like what is meant, and text that is not.
numbers = st.one_of(
    st.integers(-10, 2**70).map(str),
    st.floats().map(str),
    st.from_regex(r"[0-9_]{1,4}(\.[0-9]{1,3})?([eE][-+]?[0-9]{1,9})?", fullmatch=True),
    st.sampled_from(["", " ", "-", "_", "1e", "0x10", "nan", "-inf", "sNaN", "١٢", "10k", "all"]),
    st.text(max_size=8),
)
lists = st.lists(numbers, max_size=4)


@often
@given(numbers)
def test_counts_and_numbers(text):
    whole = read(parse.count, "--n", text)
    if whole is not None:
        assert 0 <= whole < 2**63 and whole == parse.count("--n", f"{whole:_}")
    value = read(parse.number, "--n", text)
    if value is not None:
        assert parse.number("--n", repr(value)) == value
        assert whole is None or value == float(whole)
    found = read(parse.sample, "--probes", text)
    assert found == (whole if text.strip() != "all" else "all")


@often
@given(lists, st.sampled_from([",", "/", ":", "=", ""]))
def test_several_numbers(texts, mark):
    text = mark.join(texts)
    several = read(parse.counts, "--n", text)
    if several is not None:
        shown = ",".join(map(str, [several] if isinstance(several, int) else several))
        assert parse.counts("--n", shown) == several
    if (found := read(parse.part, "--part", text)) is not None:
        assert found[0] < found[1] and parse.part("--part", "{}/{}".format(*found)) == found
    if (found := read(parse.span, "--rows", text)) is not None:
        again = f"{found[0]}:{'' if found[1] is None else found[1]}"
        assert parse.span("--rows", again) == found
    known = ("default", "repeats")
    words = ",".join(f"{known[place % 2]}={text}" for place, text in enumerate(texts))
    if (found := read(parse.weights, "--templates", words, known)) is not None:
        again = ",".join(f"{key}={value!r}" for key, value in found.items())
        assert parse.weights("--templates", again, known) == found
    read(parse.weights, "--templates", text, known)
    read(parse.settings, "--set", texts)


WORLD = bh.World(subjects=12, relations=1, objects=4)


@often
@given(st.sampled_from(["groups", "latin", "zipf", ""]), lists, st.sampled_from(",;: "))
def test_exposures(kind, texts, mark):
    text = f"{kind}:{mark.join(texts)}"
    corpus = read(lambda: bh.Corpus(WORLD, exposures=text))
    if corpus is not None:
        again = bh.Corpus.from_spec(corpus.spec)
        assert again.spec_hash == corpus.spec_hash


# As TOML and JSON may have it, where a number, a word or a table is meant.
values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=6),
        st.sampled_from(["auto", "none", "lora", "subject", "remap", "0,1", "inf"]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)  # fmt: skip
_REQUEST = [*asdict(EditRequest()), "edit", "", "sed"]


@often
@given(st.dictionaries(st.sampled_from(_REQUEST), values, max_size=3))
def test_what_is_asked_of_a_plan(table):
    request = read(EditRequest.from_dict, table)
    if request is not None:
        assert EditRequest.from_dict(json.loads(json.dumps(request.to_dict()))) == request


@pytest.mark.parametrize("name", ["lora", "rome", "ft"])
def test_settings_of_methods(name):
    keys = [*settings_of(get_method(name)), "rnk", ""]

    @often
    @given(st.dictionaries(st.sampled_from(keys), values | numbers, max_size=3), st.booleans())
    def check(given, text):
        method = read(lambda: get_method(name, given, text=text))
        if method is not None:
            assert get_method(name, settings_of(method)) == method

    check()


STUDY = """
name = "tiny"
question = "Does it run?"
[world]
subjects = 12
relations = 2
objects = 4
[corpus]
exposures = 2
[train]
model = "pico"
steps = 2
[plan]
edits = 2
[grid]
"world.seed" = [0, 1]
[[method]]
name = "lora"
label = "LoRA"
where = { "world.seed" = [0] }
settings = { steps = 2 }
"""
LINES = STUDY.strip().splitlines()


def toml(value):
    """A value as TOML, which has no word for none and other words for what is no number."""
    if isinstance(value, dict):
        inner = ", ".join(f"{json.dumps(key)} = {toml(each)}" for key, each in value.items())
        return f"{{ {inner} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps("none" if value is None else value)


@often
@given(st.integers(0, len(LINES) - 1), values, st.sampled_from(["value", "key", "text", "gone"]))
def test_studies(place, value, change):
    lines = list(LINES)
    key, equals, old = lines[place].partition(" = ")
    if change == "gone":
        del lines[place]
    elif change == "text":
        lines[place] = str(value)
    elif change == "key":
        lines[place] = f"{json.dumps(str(value))} = {old or 1}"
    else:
        lines[place] = f"{key} = {toml(value)}" if equals else f"[{json.dumps(str(value))}]"
    study = read(Study.parse, "\n".join(lines))
    if study is not None:
        assert Study.parse(study.text).name == study.name
        read(study.expand)
