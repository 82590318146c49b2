"""docs/grammar.md has every key that a grammar file may have and no other, and its example is one.

The keys are those of the engine: what it allows where a key is unknown.
"""

from __future__ import annotations

import copy
import re
import tomllib
from pathlib import Path

import pytest

from behemoth import ArgumentError, Corpus, Documents, Grammar, Questions
from behemoth.support.text import toml_text

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "grammar.md").read_text(encoding="utf-8")
(SOURCE,) = re.findall(r"^```toml\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
EXAMPLE = tomllib.loads(SOURCE)

# By heading and number of its table of keys: the tables of the example with these keys.
PLACES = {
    ("The file", 0): [()],
    ("`[lists]`", 0): [("lists", "price"), ("lists", "number")],
    ("`[subject]`", 0): [("subject",)],
    ("`[subject]`", 1): [("subject", "classes", "he"), ("subject", "classes", "they")],
    ("`[relations]`", 0): [("relations", key) for key in EXAMPLE["relations"]],
    ("`[relations]`", 1): [("relations", "river", "link")],
    ("Sentences", 0): [("relations", "city", "statements", at) for at in (1, 2)],
    ("`[[joint]]`", 0): [("joint", 0)],
    ("`[question]`", 0): [("question",)],
    ("`[document]`", 0): [("document",)],
    ("`refusal`", 0): [("refusal",)],
}
FORMS = [("`[subject]`", 1), ("`[relations]`", 1)]  # where any other key is a placeholder


def _tables():
    found = {}
    for section in re.split(r"^## ", TEXT, flags=re.MULTILINE):
        number = 0
        for table in re.findall(r"(?:^\|.*\n)+", section, flags=re.MULTILINE):
            head, _, *rows = [
                [cell.strip() for cell in line.strip()[1:-1].split("|")]
                for line in table.splitlines()
            ]
            if head[0] == "key":
                rows = [dict(zip(head, row, strict=True)) for row in rows]
                place = section.partition("\n")[0], number
                found[place] = {row["key"].strip("`"): row for row in rows}
                number += 1
    return found


TABLES = _tables()
KEYS = [(place, key) for place in PLACES for key in TABLES.get(place, {}) if key != "any other"]


def at(file, path):
    for key in path:
        file = file[key]
    return file


def grammar(file):
    text = "\n".join(f"{key} = {toml_text(value, 10**6)}" for key, value in file.items())
    return Grammar("shops.toml", text)


def written(file):
    """All that a grammar says: of itself, and in documents of two subjects with questions."""
    read = grammar(file)
    corpus = Corpus(
        read.world(12), grammar=read, order="bios", exposures=4, nested_exposures=2,
        documents=Documents(subjects=2), questions=Questions(1, 0.1),
    )  # fmt: skip
    said = {name: value for name, value in read.facts.items() if name != "digest"}
    return said, list(corpus.texts(0, corpus.num_documents))


def holder(place, key):
    """A copy of the example, and a table in it that has the key."""
    file = copy.deepcopy(EXAMPLE)
    return file, next(table for path in PLACES[place] if key in (table := at(file, path)))


def test_every_table_of_keys_is_looked_at():
    assert set(TABLES) == set(PLACES)


def test_every_table_of_keys_in_the_engine_is_on_the_page():
    source = ROOT / "crates" / "behemoth-gen" / "src" / "grammar" / "text" / "file"
    code = "".join(file.read_text(encoding="utf-8") for file in source.glob("*.rs"))
    found = {
        frozenset(re.findall(r'"(\w+)"', keys))
        for keys in re.findall(r"\.table\(\s*&\[([^]]*)\]", code)
    }
    forms = {frozenset({"named", "pronoun"})}  # said below the classes
    assert found == forms | {frozenset(TABLES[place]) for place in PLACES if place not in FORMS}


@pytest.mark.parametrize("place", [place for place in PLACES if place not in FORMS], ids=str)
def test_the_page_has_the_keys_that_the_engine_takes(place):
    file = copy.deepcopy(EXAMPLE)
    at(file, PLACES[place][0])["zzzz"] = 1
    with pytest.raises(ArgumentError, match="zzzz") as refused:
        grammar(file)
    assert set(re.findall(r"`(\w+)`", refused.value.allowed)) == set(TABLES[place])


@pytest.mark.parametrize(("place", "key"), KEYS, ids=str)
def test_without_a_key_a_file_is_refused_if_it_is_required(place, key):
    file, table = holder(place, key)
    del table[key]
    # A placeholder or a key elsewhere may need what is left out; it is then missed by its name.
    needed = {"lists", "classes", "kind", "alpha", "of", "with", "strength", "link"}
    if TABLES[place][key]["default"] == "required":
        with pytest.raises(ArgumentError, match=f"no `{key}`"):
            grammar(file)
    elif key not in needed:
        grammar(file)


VALUES = [
    (place, key)
    for place, key in KEYS
    if re.fullmatch(r'[\d.]+|false|`[{"\w].*`', TABLES[place][key]["default"])
]


@pytest.mark.parametrize(("place", "key"), VALUES, ids=str)
def test_the_page_says_what_the_default_is(place, key):
    cell = TABLES[place][key]["default"].strip("`")
    value = cell if key == "kind" else tomllib.loads(f"value = {cell}")["value"]
    said = []
    for given in (False, True):
        file, table = holder(place, key)
        if key == "kind":
            table = file["relations"]["rent"]
        table.pop(key, None)
        if given:
            table[key] = value
        said.append(written(file))
    assert said[0] == said[1]


def test_most_defaults_are_values():
    assert len(VALUES) > 12
    assert all(table for table in TABLES.values())


def test_the_example_has_every_key():
    for place, key in KEYS:
        assert any(key in at(EXAMPLE, path) for path in PLACES[place]), (place, key)
    for place in FORMS:
        assert "any other" in TABLES[place]
    assert Grammar("shops.toml", SOURCE).samples(1)
