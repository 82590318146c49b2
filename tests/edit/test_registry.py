"""Methods by name, and their settings from text."""

from __future__ import annotations

import dataclasses
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import polars as pl
import pytest

from behemoth import ArgumentError
from behemoth.delta.delta import EditDelta
from behemoth.edit import registry
from behemoth.edit.foreign_settings import OWN_NAMES
from behemoth.edit.registry import (
    OWN_METHODS,
    get_method,
    info_if_loadable,
    method_names,
    method_type,
)
from behemoth.evaluate.dose import doses_of


def test_what_cannot_be_loaded_has_no_description(monkeypatch):
    broken = EntryPoint("broken", "no_such_module:Method", "behemoth.methods")
    bare = EntryPoint("bare", "types:SimpleNamespace", "behemoth.methods")
    monkeypatch.setattr(registry, "entry_points", lambda group: [broken, bare])
    assert info_if_loadable("lora") is method_type("lora").info
    for name in ("broken", "bare", "absent"):
        assert info_if_loadable(name) is None
    # The doses of its edits are still read.
    plan = SimpleNamespace(
        edits=pl.DataFrame({"edit": [0], "fact": [1], "exposures": [1], "new_object": [2]})
    )
    assert doses_of({0: EditDelta({}, "broken", {}, "", 0)}, plan)["dose_kind"].item() == "flip"


def test_settings_are_read_by_the_types_of_the_fields():
    words = {"rank": "16", "layers": "1,-1", "alpha": "none", "steps": "1e2"}
    method = get_method("lora", words, text=True)
    assert (method.rank, method.layers, method.alpha, method.steps) == (16, (1, -1), None, 100)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("lor", {}, r"argument 'method': got lor \(did you mean lora"),
        (
            "lora",
            {"rnak": "1"},
            r"'rnak': got an unknown setting of lora \(did you mean rank\?\), allowed: steps, ",
        ),
        ("lora", {3: 1}, "argument '3': got an unknown setting of lora, allowed: steps, "),
        ("ROME", {}, r"argument 'method': got ROME \(did you mean rome\?\), allowed: ft, "),
        ("AnyEdit", {}, r"'method': got AnyEdit, allowed: ft, "),
        ("dpo", {}, r"'method': got dpo, allowed: ft, "),
        ("lroa", {}, r"'method': got lroa \(did you mean lora\?\)"),
        ("GradDiff", {}, r"argument 'method': got GradDiff \(did you mean grad_diff\?\)"),
        ("rome", {"lr": "1"}, r"'lr': got an unknown .* \(did you mean learning_rate\?\)"),
        ("rome", {"v_lr": "1"}, r"'v_lr': got .* \(did you mean learning_rate\?\)"),
        ("memit", {"kl_factor": "1"}, r"'kl_factor': got .* \(did you mean keep\?\)"),
        ("ft_l", {"norm_constraint": "1"}, r"got .* \(did you mean epsilon\?\), allowed: steps"),
        ("mend", {"edit_lr": "1"}, r"\(did you mean edit_rate\?\)"),
        ("mend", {"lr": "1"}, r"\(did you mean learning_rate\?\)"),
        ("mend", {"n_edits": "1"}, r"\(did you mean together\?\)"),
        ("wise", {"edit_lr": "1"}, r"\(did you mean learning_rate\?\)"),
        ("grace", {"eps": "1"}, r"\(did you mean epsilon\?\)"),
        ("alphaedit", {"L2": "1"}, r"\(did you mean damping\?\)"),
        ("alphaedit", {"nullspace_threshold": "1"}, r"\(did you mean eigenvalue\?\)"),
        ("emmet", {"mom2_update_weight": "1"}, r"\(did you mean slack\?\)"),
        ("emmet", {"emmet_lambda": "1"}, r"\(did you mean slack\?\)"),
        ("encore", {"update_norm_lambda": "1"}, r"\(did you mean norm\?\)"),
        ("encore", {"prob_cutoff": "1"}, r"\(did you mean stop_after\?\)"),
        ("memit", {"mom2_update_weight": "1"}, r"\(did you mean weight\?\)"),
        ("satimp", {"beta1": "1"}, r"\(did you mean saturation\?\)"),
        ("satimp", {"beta2": "1"}, r"\(did you mean importance\?\)"),
        ("pdu", {"dual_step_size": "1"}, r"\(did you mean dual_rate\?\)"),
        # What has no equal here is not what is spelt like it.
        ("pdu", {"dual_update_upon": "step"}, "got an unknown setting of pdu, allowed: steps"),
        ("pdu", {"retain_loss_eps": "1"}, "got an unknown setting of pdu, allowed: steps"),
        ("npo", {"retain_loss_type": "NLL"}, "got an unknown setting of npo, allowed: steps"),
        ("lora", {"kl_factor": "1"}, r"got an unknown setting of lora, allowed: steps"),
        ("lora", {"rank": "x"}, "argument 'rank': got x, allowed: a whole number or none"),
        ("lora", {"part": "heads"}, "argument 'part': got heads .*, allowed: mlp, attention, both"),
        ("lora", {"rank": "0"}, "argument 'rank': got 0, allowed: at least 1"),
        ("ft", {"steps": "0"}, "argument 'steps': got 0, allowed: at least 1"),
        ("lora", {"part": "all"}, "got 'all' with a rank"),
    ],
)
def test_what_is_refused(name, settings, message):
    with pytest.raises(ArgumentError, match=message):
        get_method(name, settings, text=True)


def test_hints_for_the_names_of_other_tools_are_settings_of_some_method():
    own = {field.name for name in OWN_METHODS for field in dataclasses.fields(method_type(name))}
    assert {name for names in OWN_NAMES.values() for name in names} <= own


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
