"""EasyEdit's editors on a run, by examples/easyedit.py: they edit it, and do what ours do.

Needs datasets, matplotlib and a clone of EasyEdit, which is not on PyPI:
`PYTHONPATH=EasyEdit .venv/bin/python -m pytest -m foreign tests/foreign/test_easyedit.py`.
"""

import importlib.util
import json
import runpy
import sys
from pathlib import Path

import polars as pl
import pytest
import torch

import behemoth as bh
from behemoth.edit.protocol import EditContext
from behemoth.edit.registry import get_method
from behemoth.model.load import load_model

if importlib.util.find_spec("easyeditor") is None:  # to import all of it is slow
    pytest.skip("could not import 'easyeditor'", allow_module_level=True)

pytestmark = [pytest.mark.foreign, pytest.mark.filterwarnings("ignore")]

EXAMPLE = Path(__file__).parents[2] / "examples" / "easyedit.py"
SUBJECT = {"token": "subject", "kept": 0}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run that knows some facts, a plan for it, and the plan as EasyEdit's arguments."""
    place = tmp_path_factory.mktemp("easyedit")
    world = bh.World(subjects=40, relations=3, objects=12, seed=3)
    corpus = bh.Corpus(world, exposures=16)
    config = bh.default_config(
        "nano", steps=60, batch_size=8, block_length=64, threads=1, tensorboard=False
    )
    bh.train(corpus, out=place / "run", config=config)
    few = {"repeats": 2, "same_object": 1, "same_relation": 2, "regular": 2, "probes": 2}
    bh.plan(place / "run", edits=4, distinct=False, out=place / "plan", **few)
    bh.export(place / "run", place / "easyedit", to="easyedit", plan=place / "plan")
    return place


def edited(made, out, monkeypatch, *words):
    """Run the example; return the edited model and its changes of parameters."""
    argv = [EXAMPLE, made / "run", made / "easyedit" / "easyedit.json", out, *words]
    monkeypatch.setattr(sys, "argv", [str(word) for word in argv])
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    before = dict(load_model(made / "run").named_parameters())
    after = dict(load_model(out).named_parameters())
    return {
        name: (after[name] - parameter).detach()
        for name, parameter in before.items()
        if bool((after[name] != parameter).any())
    }


def ours(made, name, settings):
    """Return the changes that a method of ours makes to the run, as one batch."""
    run = bh.load(made / "run")
    model = run.load_model("cpu")
    before = {key: value.detach().clone() for key, value in model.named_parameters()}
    plan = bh.EditPlan.load(made / "plan")
    context = EditContext(run.corpus, run=run.directory)
    [delta] = get_method(name, settings).apply(model, [plan], context)
    with delta.apply(model):
        return {key: (model.get_parameter(key) - before[key]).detach() for key in delta.changes}


def cosine(first, second):
    return torch.nn.functional.cosine_similarity(first.flatten(), second.flatten(), dim=0).item()


@pytest.mark.parametrize(
    ("method", "words", "name", "settings"),
    [
        (
            "rome",
            ["mom2_adjustment=true", "kl_factor=0", "v_num_grad_steps=21"],
            "rome",
            SUBJECT,
        ),
        (
            "memit",
            ["mom2_update_weight=20", "clamp_norm_factor=4", "kl_factor=0", "v_num_grad_steps=21"],
            "memit",
            SUBJECT | {"steps": 20, "absolute": True, "weight": 20.0},
        ),
        (
            "emmet",
            ["mom2_update_weight=20", "clamp_norm_factor=4", "kl_factor=0", "v_num_grad_steps=21"],
            "emmet",
            SUBJECT | {"steps": 20, "absolute": True, "slack": 2.0},
        ),
        (
            "alphaedit",
            # The keys of layer 0 are those of single tokens, and none of them is in the null space.
            [
                "layers=[1]",
                "nullspace_threshold=1e-2",
                "L2=0.5",
                "clamp_norm_factor=4",
                "kl_factor=0",
                "v_num_grad_steps=21",
            ],
            "alphaedit",
            SUBJECT
            | {"layers": (1,), "steps": 20, "absolute": True, "damping": 0.5, "eigenvalue": 1e-2},
        ),
        (
            "ft",
            ["lr=1e-3", "norm_constraint=0.05"],
            "ft_l",
            {"retain_rows": 0, "clip": 1e9},
        ),
    ],
)
def test_the_same_change_as_ours_with_the_same_settings(
    made, tmp_path, monkeypatch, method, words, name, settings
):
    settings_words = [word for setting in words for word in ("--set", setting)]
    theirs = edited(
        made, tmp_path / "out", monkeypatch, "--method", method, "--no-contexts", *settings_words
    )
    own = ours(made, name, settings)
    assert theirs.keys() == own.keys()
    for key, change in own.items():
        assert cosine(theirs[key], change) > 0.99
        assert theirs[key].norm().item() == pytest.approx(change.norm().item(), rel=0.02)
    hparams = json.loads((tmp_path / "out" / "hparams.json").read_text())
    assert hparams["alg_name"].lower() == method


def test_the_published_hyperparameters_and_one_edit_alone(made, tmp_path, monkeypatch):
    changes = edited(made, tmp_path / "out", monkeypatch, "--method", "rome", "--edit", "2")
    assert list(changes) == ["gpt_neox.layers.1.mlp.dense_4h_to_h.weight"]
    [change] = changes.values()
    assert torch.linalg.matrix_rank(change.double(), rtol=1e-4).item() == 1
    plan = made / "plan"
    before = bh.evaluate(made / "run", plan)
    after = bh.evaluate(tmp_path / "out", plan, corpus=made / "run")
    asked = (pl.col("group") == "edited") & (pl.col("edit") == 2)
    column = "log_probability_true"
    assert after.filter(asked)[column].mean() > before.filter(asked)[column].mean()
