import json
from typing import get_args

import numpy as np
import pytest

from behemoth import (
    ArgumentError,
    Composed,
    Corpus,
    Correlated,
    Groups,
    Independent,
    OneToOne,
    Questions,
    World,
    ZipfExposures,
)
from behemoth.corpus.spec import Template, to_json
from behemoth.corpus.templates import TEMPLATES
from behemoth.study.file.spec import Study


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Independent(7), {"kind": "independent", "objects": 7, "binarised": False}),
        (
            Correlated(0, 0.5),
            {"kind": "correlated", "with": 0, "strength": 0.5, "binarised": False},
        ),
        (OneToOne(), {"kind": "one_to_one"}),
        (Composed(2, 5), {"kind": "composed", "of": 2, "objects": 5}),
        (Groups((1, 4)), {"kind": "groups", "levels": [1, 4], "balanced": False}),
        (ZipfExposures(), {"kind": "zipf", "alpha": 1.0, "minimum": 1, "maximum": 1000}),
        (Questions(), {"subjects": 0.5, "sentences": 0.2}),
        ({"a": None, "b": np.int64(3), "c": np.array([1, 2])}, {"b": 3, "c": [1, 2]}),
    ],
)
def test_specs_become_json(value, expected):
    assert to_json(value) == expected
    json.dumps(to_json(value))


def test_specs_are_frozen():
    with pytest.raises(AttributeError):
        Independent(7).objects = 8


def test_the_names_of_templates_are_those_of_the_engine():
    assert list(get_args(Template)) == list(TEMPLATES)
    with pytest.raises(ArgumentError) as caught:
        Corpus(World(2, 1, 2), templates={"sonnet": 1})
    allowed = ", ".join(TEMPLATES)
    assert str(caught.value) == f"argument 'templates': got 'sonnet', allowed: {allowed}"


def test_a_refusal_of_the_engine_is_values():
    with pytest.raises(ArgumentError) as caught:
        World(10, [Independent(4), Correlated(5, 0.5)])
    error = caught.value
    assert error.path == ("relations", 1, "with")
    assert (error.got, error.allowed) == ("5", "an earlier relation, 0 to 0")
    with pytest.raises(ArgumentError) as caught:
        Corpus(World(2, 1, 2), templates={"repeat": 1})
    assert (caught.value.path, caught.value.nearest) == (("templates",), "repeats")


def test_wordings_as_on_the_command_line_are_the_same_spec(tmp_path):
    world = World(10, 2, 5)
    written = Corpus(world, paraphrases=4, held_out=1)
    assert Corpus(world, paraphrases="4:1").spec_toml == written.spec_toml
    file = tmp_path / "spec.toml"
    file.write_text(
        '[world]\nsubjects = 10\nrelations = 2\nobjects = 5\n[corpus]\nparaphrases = "4:1"\n'
    )
    assert Corpus.from_spec(file).spec_hash == written.spec_hash
    for text in ("4", "4:", "four:1", "4:1:1", "-4:1"):
        with pytest.raises(ArgumentError, match=r"'(corpus\.)?paraphrases': got .*held_out"):
            Corpus(world, paraphrases=text)
    with pytest.raises(ArgumentError, match=r"held_out.*got 2, allowed: no key beside para"):
        Corpus(world, paraphrases="4:1", held_out=2)


def test_a_study_takes_wordings_as_text():
    def models(corpus):
        text = (
            'format_version = 3\nname = "s"\n[world]\nsubjects = 10\n[corpus]\n'
            f'{corpus}\n[train]\nmodel = "pico"\n[plan]\nedits = 2\n'
            '[[method]]\nname = "ft"\n'
        )
        return list(Study.parse(text).expand().models)

    assert models('paraphrases = "4:1"') == models("paraphrases = 4\nheld_out = 1")


@pytest.mark.parametrize("value", [b"5", bytearray(b"5"), {1}, (one for one in (3, 3)), object()])
def test_what_json_cannot_hold_is_refused_by_its_type(value):
    said = f"argument 'objects': got an object of type {type(value).__name__}, allowed: a number"
    with pytest.raises(ArgumentError, match=said):
        World(subjects=5, relations=2, objects=value)
