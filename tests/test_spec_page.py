"""docs/spec.md has every key that a spec may have and no other, and its examples are specs.

The keys are those of the engine: what it allows where a key is unknown, and the lists in its
sources, so that no table of keys is forgotten here.
"""

from __future__ import annotations

import copy
import re
import tomllib
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from behemoth import ArgumentError, Corpus, World, import_
from behemoth.corpus.grammar import GRAMMARS
from behemoth.corpus.source import read_source
from behemoth.support.text import toml_text

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "spec.md").read_text(encoding="utf-8")
GRAMMAR = """
name = "sailors"
language = "en"
about = "One fact about invented sailors."
[lists]
first = ["Ada", "Bruno", "Chloe", "Dev"]
last = ["Marlow", "Nakata", "Okafor", "Quist", "Reyes"]
port = ["Bergen", "Cadiz", "Mombasa"]
[subject]
name = "{first} {last}"
[relations.port]
objects = "{port}"
statements = ["{subject} sails from {object}."]
"""
PEOPLE = """subject,relation,object,nested
Ann,born in,Paris,France
Bob,born in,Rome,Italy
Ann,lives in,Paris,
Bob,lives in,Rome,
"""
SMALL = {"world": {"subjects": 10, "relations": 2, "objects": 10}}
TABLE = {"relations": [{"objects": 2, "nested": 2}, {"objects": 2}]}
RELATIONS = {
    "independent": {"objects": 4},
    "zipf": {"objects": 4, "alpha": 1},
    "correlated": {"with": 0, "strength": 0.9},
    "one_to_one": {},
    "inverse": {"of": 0},
    "composed": {"of": 0, "objects": 2},
}
EXPOSURES = {
    "constant": {"exposures": 2},
    "groups": {"levels": [1, 2]},
    "zipf": {"alpha": 1, "minimum": 1, "maximum": 4},
    "array": {},
}
SCHEDULE = {
    "early": {"window": 1},
    "late": {"window": 1},
    "distance": {"window": 0},
    "spaced": {},
    "bursts": {"bursts": 1},
}


def of_kinds(kinds, place, *before):
    """Specs by kind, and where the table of that kind is in them."""
    specs = {}
    for kind, own in kinds.items():
        spec = copy.deepcopy(SMALL)
        if place[-1] == "relations":
            spec["world"] = {"subjects": 10}
        at = spec
        for key in place[:-1]:
            at = at.setdefault(key, {})
        if kind == "array":  # the file beside the spec has so many numbers
            spec["world"] = {"subjects": 2, "relations": 2}
        table = {"kind": kind, **own}
        at[place[-1]] = [*before, table] if place[-1] != "exposures" else table
        path = place if place[-1] == "exposures" else (*place, len(before))
        specs[kind] = (spec, path)
    return specs


def corpus_with(key, table, **more):
    return {None: (SMALL | {"corpus": {**more, key: table}}, ("corpus", key))}


# By heading and number of its table of keys: specs that are sound, by the kind of thing, and where
# in them the table of keys is.
PLACES = {
    ("The file", 0): {None: (SMALL | {"corpus": {}, "format_version": 3}, ())},
    ("`[world]`", 0): {None: ({"world": {}}, ("world",))},
    ("`correlated`", 0): {
        None: ({"world": {**SMALL["world"], "correlated": {"strength": 0.9}}},
               ("world", "correlated")),
    },
    ("Relations one by one", 0): of_kinds(
        RELATIONS, ("world", "relations"), {"kind": "one_to_one"}
    ),
    ("A table of facts", 0): {
        None: ({"world": {"table": {"file": "people.csv"}}}, ("world", "table")),
    },
    ("A table of facts", 1): {
        None: ({"world": {"subjects": 2, "table": TABLE}}, ("world", "table")),
    },
    ("A table of facts", 2): {
        None: ({"world": {"subjects": 2, "table": TABLE}}, ("world", "table", "relations", 0)),
    },
    ("A table of facts", 3): {
        None: ({"world": {"subjects": 2, "table": TABLE | {"names": {"subjects": ""}}}},
               ("world", "table", "names")),
    },
    ("`[corpus]`", 0): {None: (SMALL | {"corpus": {}}, ("corpus",))},
    ("`exposures`", 0): of_kinds(EXPOSURES, ("corpus", "exposures")),
    ("`templates`", 0): corpus_with("templates", {"default": 1, "osr": 1}),
    ("`questions`", 0): corpus_with("questions", {"subjects": 0.5, "sentences": 0.1}, exposures=4),
    ("`schedule`", 0): of_kinds(SCHEDULE, ("corpus", "schedule")),
    ("`filler`", 0): corpus_with("filler", {"kind": "zipf", "tokens": 1000}),
    ("`background`", 0): {
        None: ({"world": {"subjects": 100}, "corpus": {"background": {"path": "other"}}},
               ("corpus", "background")),
    },
    ("`insert`", 0): corpus_with("insert", {}, filler={"kind": "zipf", "tokens": 100_000}),
    ("`documents`", 0): corpus_with("documents", {}, order="bios"),
    ("`twin`", 0): corpus_with("twin", {}),
    ("`[grammar]`", 0): {
        None: ({"world": {"subjects": 5}, "grammar": {"file": "sailors.toml"}}, ("grammar",)),
    },
}  # fmt: skip

WORDS = {
    "text": "words",
    "whole number": 3,
    "number": 0.5,
    "true or false": True,
    "list": [{"some": "value"}, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19],
    "table": {"some": "value", "other": [1, 2]},
}


class Page:
    """The page: its tables of keys, and its examples."""

    def __init__(self, text):
        self.tables = {}
        self.examples = []
        for section in re.split(r"^##+ ", text, flags=re.MULTILINE):
            heading = section.partition("\n")[0]
            number = 0
            for table in re.findall(r"(?:^\|.*\n)+", section, flags=re.MULTILINE):
                head, _, *rows = [_cells(line) for line in table.splitlines()]
                if head[0] == "key":
                    self.tables[heading, number] = [dict(zip(head, r, strict=True)) for r in rows]
                    number += 1
            blocks = re.findall(r"^```toml\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
            self.examples += [(heading, block) for block in blocks]


def _cells(line):
    return [cell.strip() for cell in line.strip()[1:-1].split("|")]


PAGE = Page(TEXT)


def rows_of(place, kind):
    """Rows of a table of keys that are about a kind, by key."""
    rows = {}
    for row in PAGE.tables[place]:
        kinds = row.get("of kinds", "all")
        if kind is None or kinds == "all" or f"`{kind}`" in kinds:
            key = row["key"].strip("`")
            assert key not in rows, f"{key} of {kind} twice"
            rows[key] = row
    return rows


EVERY = [(place, kind) for place, specs in PLACES.items() for kind in specs]
KEYS = [(*where, key) for where in EVERY for key in rows_of(*where)]


def named(value):
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """A folder with all that the examples name."""
    place = tmp_path_factory.mktemp("spec")
    (place / "people.csv").write_text(PEOPLE)
    import_(place / "people.csv", place / "import", correlated=(0, 1))
    for path in (place / "import").iterdir():
        path.rename(place / path.name)
    pl.DataFrame({"exposures": np.array([1, 2, 3, 4], np.uint32)}).write_parquet(
        place / "exposures.parquet"
    )
    for name in ("sailors.toml", "grammar.toml"):
        (place / name).write_text(GRAMMAR)
    Corpus(World(subjects=100)).write(place / "other", probes=0)
    return place


@pytest.fixture
def load(room):
    def load(text):
        (room / "spec.toml").write_text(text if isinstance(text, str) else toml(text))
        return read_source(room / "spec.toml").make_corpus()

    return load


def toml(spec):
    return "\n".join(f"{key} = {toml_text(value, 10**6)}" for key, value in spec.items())


def at(spec, path):
    for key in path:
        spec = spec[key]
    return spec


def with_key(place, kind, key, value):
    spec, path = copy.deepcopy(PLACES[place][kind])
    at(spec, path)[key] = value
    return spec, path


def allowed_keys(load, place, kind):
    spec, _ = with_key(place, kind, "zzzz", 1)
    with pytest.raises(ArgumentError, match="zzzz") as refused:
        load(spec)
    keys = re.findall(r"\w+", refused.value.allowed)
    return {key for key in keys if key != "or" or place == ("`templates`", 0)}


def test_every_table_of_keys_is_looked_at():
    assert set(PAGE.tables) == set(PLACES)


@pytest.mark.parametrize(("place", "kind"), EVERY, ids=named)
def test_the_page_has_the_keys_that_the_engine_takes(load, place, kind):
    corpus = load(PLACES[place][kind][0])
    assert corpus.num_sentences
    keys = allowed_keys(load, place, kind)
    has_kinds = kind is not None or place == ("`filler`", 0)
    assert set(rows_of(place, kind)) == keys | ({"kind"} if has_kinds else set())


def test_no_list_of_keys_in_the_engine_is_forgotten():
    source = ROOT / "crates" / "behemoth-gen" / "src"
    found = set()
    for file in source.rglob("*.rs"):
        if "text" in file.relative_to(source).parts:
            continue  # grammar files: tests/test_grammar_page.py
        code = file.read_text(encoding="utf-8").partition("#[cfg(test)]")[0]
        for body in re.findall(r"\.(?:table|of_kind)\(\s*&\[([^]]*)\]", code):
            found.add(frozenset(re.findall(r'"(\w+)"', body)))
    there = [set(rows_of(*where)) - {"kind"} for where in EVERY]
    assert len(found) > 20
    # What Python reads itself has a path or a file beside what the engine is told.
    read = [there[EVERY.index((place, None))]
            for place in (("The file", 0), ("`background`", 0), ("`[grammar]`", 0))]  # fmt: skip
    missing = [
        sorted(keys)
        for keys in found
        if set(keys) not in there and not any(set(keys) <= own for own in read)
    ]
    assert not missing


@pytest.mark.parametrize(("place", "kind", "key"), KEYS, ids=named)
def test_a_wrong_type_names_the_key_the_value_and_what_is_wanted(load, place, kind, key):
    row = rows_of(place, kind)[key]
    types = row["type"].split(", ")
    assert set(types) <= set(WORDS), "types of the page are those of this test"
    fits = set(types) | ({"whole number"} if "number" in types else set())
    for name, value in WORDS.items():
        if name in fits:
            continue
        spec, path = with_key(place, kind, key, value)
        with pytest.raises(ArgumentError) as refused:
            load(spec)
        error, message = refused.value, str(refused.value)
        keys = [str(part) for part in (*path, key)]
        where = [str(part) for part in error.path]
        # The engine's paths leave world and corpus out, as its flags do.
        assert keys[-len(where) :] == where, message
        shown = value if not isinstance(value, dict) else dict(sorted(value.items()))
        written = (toml_text(value), toml_text(shown), f"`{value}`")
        assert any(f"got {text}" in message for text in written), message
        assert error.allowed
        assert "\n" not in message
        assert len(message) < 500
        assert not re.search(r"\b(map|sequence|dict|str|int|NoneType)\b", message), message


# Texts that are one of some words or none of them; a digest is of what the spec is about.
TEXTS = [
    where
    for where in KEYS
    if rows_of(*where[:2])[where[2]]["type"] == "text" and where[2] != "digest"
    if where != (("`[grammar]`", 0), None, "name")
]


@pytest.mark.parametrize(("place", "kind", "key"), TEXTS, ids=named)
def test_the_page_says_which_words_are_allowed(load, place, kind, key):
    spec, _ = with_key(place, kind, key, "zzzz")
    with pytest.raises(ArgumentError) as refused:
        load(spec)
    words = re.findall(r"`(\w+)`", rows_of(place, kind)[key]["allowed"])
    assert set(re.findall(r"`(\w+)`", refused.value.allowed)) == set(words)


def test_the_page_has_the_grammars():
    allowed = rows_of(("`[grammar]`", 0), None)["name"]["allowed"]
    assert sorted(re.findall(r"`(.*?)`", allowed)) == sorted(GRAMMARS)


def default_of(place, kind, key):
    return rows_of(place, kind)[key]["default"].replace("_", "")


REQUIRED = [where for where in KEYS if default_of(*where) == "required"]
# In words a default says more than a value.
VALUES = [where for where in KEYS if re.fullmatch(r"[\d.]+|true|false|`\w+`", default_of(*where))]


def test_most_keys_are_required_or_have_a_value():
    assert len(TEXTS) > 25 and len(REQUIRED) > 30 and len(VALUES) > 45


def without_key(place, kind, key):
    spec, path = copy.deepcopy(PLACES[place][kind])
    at(spec, path).pop(key, None)
    return spec


@pytest.mark.parametrize(("place", "kind", "key"), REQUIRED, ids=named)
def test_without_a_required_key_a_spec_is_refused(load, place, kind, key):
    with pytest.raises(ArgumentError, match=rf"got no .*\b{key}\b|\.{key}': got nothing"):
        load(without_key(place, kind, key))


def test_a_table_with_a_misspelt_file_is_told_what_it_lacks(load):
    with pytest.raises(ArgumentError, match=r"'world\.table': got no `file` and no `relations` in"):
        load({"world": {"table": {"fil": "people.csv"}}})


@pytest.mark.parametrize(("place", "kind", "key"), VALUES, ids=named)
def test_the_page_says_what_the_default_is(load, place, kind, key):
    cell = default_of(place, kind, key)
    value = cell.strip("`") if "`" in cell else tomllib.loads(f"value = {cell}")["value"]
    without, given = (
        load(spec).spec
        for spec in (without_key(place, kind, key), with_key(place, kind, key, value)[0])
    )
    # A weight of 0 is written out where it was named.
    weights = given["corpus"]["templates"]
    given["corpus"]["templates"] = {own: share for own, share in weights.items() if share}
    assert without == given


@pytest.mark.parametrize("number", range(len(PAGE.examples)))
def test_examples_are_specs(load, number):
    _, block = PAGE.examples[number]
    assert load(block).num_sentences


@pytest.mark.parametrize(("place", "kind"), EVERY, ids=named)
def test_every_key_has_an_example(place, kind):
    path = PLACES[place][kind][1]
    said = set()
    for heading, block in PAGE.examples:
        if heading != place[0]:
            continue
        spec = tomllib.loads(block)
        tables = [spec]
        for step in path:
            if isinstance(step, int):
                tables = [item for table in tables if isinstance(table, list) for item in table]
            else:
                tables = [t[step] for t in tables if isinstance(t, dict) and step in t]
        for table in tables:
            if isinstance(table, dict) and (kind is None or table.get("kind") == kind):
                said |= set(table)
    assert set(rows_of(place, kind)) <= said


def test_the_refusals_that_it_shows_are_what_is_said(load, room):
    (shown,) = re.findall(r"^```text\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    specs = (
        '[world]\nrelations = [{kind = "one_to_one"}, {kind = "one_to_one"}, '
        '{kind = "zipf", objects = 4, alpha = "steep"}]',
        "[corpus]\nexposures = [1, 4, 16]",
        "[corpus]\nquestions = { subjects = 0.5, sentence = 0.2 }",
    )
    for line, spec in zip(shown.splitlines(), specs, strict=True):
        with pytest.raises(ArgumentError) as refused:
            load(spec)
        assert str(refused.value).replace(f"{room}/", "") == line
