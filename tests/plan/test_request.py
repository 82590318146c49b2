from dataclasses import fields
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pytest

from behemoth import ArgumentError
from behemoth.cli.options import field_help
from behemoth.plan.request import EditRequest

FLOAT = {"object": pl.Float64}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"edits": 0}, "argument 'edits': got 0, allowed: a whole number from 1"),
        ({"edits": True}, "argument 'edits': got True, allowed: a whole number from 1"),
        ({"edits": 1.5}, "argument 'edits': got 1.5, allowed: a whole number from 1"),
        (
            {"kind": "forget"},
            r"got forget \(did you mean remap, whose old answers",
        ),
        ({"kind": "swap"}, "argument 'kind': got swap, allowed: remap, censor, refusal, "),
        ({"target": "x"}, "argument 'target': got x, allowed: subject, subject_nested, "),
        ({"to": "x"}, "argument 'to': got x, allowed: distinct, one"),
        ({"seed": -1}, "argument 'seed': got -1, allowed: a whole number from 0"),
        ({"wordings": 0}, "argument 'wordings': got 0, allowed: a whole number from 1"),
        (
            {"exposures": ()},
            r"argument 'exposures': got \(\), allowed: a whole number from 0, or a list of them",
        ),
        ({"exposures": (1, 1)}, "allowed: each level once"),
        ({"exposures": (1, -4)}, "allowed: a whole number from 0, or a list of them"),
        ({"fraction": 0.5}, "argument 'fraction': got 0.5, allowed: edits in place of"),
        ({"kind": "censor"}, "argument 'relation': got nothing, allowed: the relation to censor"),
        (
            {"kind": "refusal", "fraction": 0.5},
            "argument 'relation': got nothing, allowed: the relation that the fraction applies to",
        ),
        (
            {"kind": "censor", "relation": 0, "fraction": 1.5},
            "argument 'fraction': got 1.5, allowed: above 0 up to 1",
        ),
        (
            {"kind": "censor", "relation": 0, "fraction": 0.5, "edits": 3},
            "argument 'fraction': got 0.5, allowed: either edits or a fraction",
        ),
        (
            {"kind": "censor", "relation": 0, "fraction": 0.5, "exposures": (1,)},
            "argument 'exposures': got .*, allowed: only with edits, not with a fraction",
        ),
        ({"to": "one", "kind": "refusal"}, "argument 'to': got one, allowed: 'distinct' with"),
        ({"to": "one", "independent": True}, "argument 'to': got one, allowed: 'distinct' with"),
        (
            {"kind": "censor", "relation": 0, "independent": True},
            "argument 'independent': got True, allowed: not with kind 'censor'",
        ),
    ],
)
def test_what_is_not_allowed_is_refused_with_what_is(words, message):
    with pytest.raises(ArgumentError, match=message):
        EditRequest(**words)


def test_a_censor_or_a_refusal_of_no_number_is_one_of_all_facts():
    for kind in ("censor", "refusal"):
        rule = EditRequest(kind=kind, relation=0)
        assert rule.carried_out == EditRequest(kind=kind, relation=0, fraction=1.0)
        for words in ({"edits": 3}, {"fraction": 0.5}, {"most_frequent": 2}, {"facts": [1]}):
            given = EditRequest(kind=kind, relation=0, **words)
            assert given.carried_out is given
    assert EditRequest().carried_out == EditRequest()
    with pytest.raises(ArgumentError, match="'relation': got nothing, allowed: the relation that"):
        assert EditRequest(kind="refusal").carried_out


def test_the_dictionary_makes_the_request_again():
    request = EditRequest(edits=3, exposures=(1, 4), kind="refusal", seed=2**62)
    assert EditRequest.from_dict(request.to_dict()) == request
    assert "relation" not in request.to_dict()
    with pytest.raises(
        ArgumentError, match=r"argument 'edit': got an unknown key .did you mean edits"
    ):
        EditRequest.from_dict({"edit": 3})


def test_the_proportions_of_the_reference_are_the_defaults():
    request = EditRequest(edits=1)
    assert (request.edit_rows, request.same_object, request.same_relation) == (250, 150, 500)
    assert request.regular_rows == 250
    share = EditRequest(kind="censor", relation=0, fraction=0.5)
    assert (share.edit_rows, share.regular_rows) == (1, 1)


def test_every_field_has_help():
    for field in fields(EditRequest):
        assert len(field_help(EditRequest)[field.name]) > 10, field.name
    assert field_help(EditRequest)["seed"] == "Seed of every random choice."


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"most_frequent": 0}, "argument 'most_frequent': got 0, allowed: a whole number from 1"),
        (
            {"most_frequent": 3, "edits": 2},
            "'most_frequent': got 3, allowed: not together with",
        ),
        ({"most_frequent": 3, "least_frequent": 2}, "allowed: not together with least_frequent"),
        (
            {"least_frequent": 3, "exposures": (1,)},
            "'least_frequent': .* not together with expo",
        ),
        (
            {"least_frequent": 3, "facts": {"fact": [1]}},
            "'least_frequent': .* not together with fa",
        ),
        ({"most_frequent": 3, "to": "one"}, "argument 'to': got one, allowed: 'distinct' with"),
        ({"facts": 3}, "argument 'facts': got 3, allowed: numbers of facts, or a frame or mapping"),
        ({"facts": {"fact": [1.5]}}, "argument 'facts': got numbers with fractions, allowed"),
        (
            {"facts": {"fact": [1], "object": [1, 2]}},
            "argument 'facts': got .*, allowed: numbers of facts, or a frame",
        ),
    ],
)
def test_what_takes_the_place_of_a_number_is_alone(words, message):
    with pytest.raises(ArgumentError, match=message):
        EditRequest(**words)


def test_facts_are_a_frame_whatever_they_come_in():
    columns = {"fact": [3, 7], "object": [None, 4]}
    wanted = pl.DataFrame(columns)
    pandas = pd.DataFrame(columns)  # whose missing number makes its column floats
    for facts in (wanted, columns, pandas, pl.DataFrame(columns, schema_overrides=FLOAT)):
        assert EditRequest(facts=facts).facts.equals(wanted)
    again = EditRequest.from_dict(EditRequest(facts=pandas).to_dict())
    assert again.facts.equals(wanted)
    assert EditRequest(facts=columns).to_dict()["facts"] == columns


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("Int64", [None, 4]), ("Float64", [None, 4]), ("category", [None, 4]),
        ("object", [pd.NA, 4]), ("object", [None, None]), ("float32", [None, None]),
        ("string", [None, "O4"]), ("object", [float("nan"), "O4"]), ("category", [None, "O4"]),
    ],
)  # fmt: skip
def test_what_is_missing_in_pandas_is_null(kind, given):
    facts = pd.DataFrame({"fact": [3, 7], "object": pd.Series(given, dtype=kind)})
    wanted = pl.DataFrame({"fact": [3, 7], "object": [None, given[1]]})
    if given[1] is None:
        wanted = wanted.with_columns(pl.col("object").cast(pl.Int64))
    assert EditRequest(facts=facts).facts.equals(wanted)
    assert EditRequest(facts=facts).facts.schema == wanted.schema


def test_one_level_of_exposures_is_a_number():
    assert EditRequest(edits=1, exposures=4) == EditRequest(edits=1, exposures=(4,))
    assert EditRequest(edits=1, exposures=4).exposures == (4,)
    for number in (np.int64(4), np.array(4)):
        again = EditRequest(edits=1, exposures=number)
        assert again.exposures == (4,) and type(again.exposures[0]) is int
    for bad in (True, np.array(True), np.array(0.5)):
        with pytest.raises(ArgumentError, match=r"'exposures': got .*, allowed: a whole number"):
            EditRequest(edits=1, exposures=bad)


@pytest.mark.parametrize("share", [np.float32(0.5), np.float64(0.5), Fraction(1, 2)])
def test_a_fraction_is_any_real_number_and_recorded_as_a_float(share):
    request = EditRequest(kind="censor", relation=0, fraction=share)
    assert type(request.fraction) is float and request.to_dict()["fraction"] == 0.5
    assert type(EditRequest(kind="censor", relation=0, fraction=1).fraction) is int
    for bad in (True, "0.5", np.array(0.5), np.float32("nan")):
        with pytest.raises(ArgumentError, match=r"'fraction': got .*, allowed: above 0 up to 1"):
            EditRequest(kind="censor", relation=0, fraction=bad)


@pytest.mark.parametrize(
    "facts", [[3, 1, 2], (3, 1, 2), np.array([3, 1, 2]), pl.Series([3, 1, 2]), pd.Series([3, 1, 2])]
)
def test_facts_are_their_numbers_or_a_frame(facts):
    assert EditRequest(facts=facts).facts.equals(pl.DataFrame({"fact": [3, 1, 2]}))


@pytest.mark.parametrize(
    ("facts", "got"),
    [
        ([1, 2.5], "2.5"), (["S3"], "'S3'"), (["3", "10"], "'3'"), ([True], "True"),
        ("plan", "plan"), (pl.LazyFrame({"fact": [3]}), "a LazyFrame"),
    ],
)  # fmt: skip
def test_what_is_no_fact_is_refused(facts, got):
    with pytest.raises(ArgumentError, match=rf"'facts': got {got}, allowed: numbers of facts, or"):
        EditRequest(facts=facts)
