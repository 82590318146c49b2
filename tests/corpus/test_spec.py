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
