"""EasyEdit's editors on a run, by examples/easyedit.py: they edit it, and do what ours do.

Needs datasets, matplotlib and a clone of EasyEdit, which is not on PyPI:
`PYTHONPATH=EasyEdit .venv/bin/python -m pytest -m foreign tests/foreign/test_easyedit.py`.
"""

import importlib.util
import json
import runpy
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file

import behemoth as bh
from behemoth.edit.methods.wise import Votes
from behemoth.edit.protocol import EditContext
from behemoth.edit.registry import get_method
from behemoth.model.load import load_model

if importlib.util.find_spec("easyeditor") is None:  # to import all of it is slow
    pytest.skip("could not import 'easyeditor'", allow_module_level=True)

pytestmark = [pytest.mark.foreign, pytest.mark.filterwarnings("ignore")]

EXAMPLE = Path(__file__).parents[2] / "examples" / "easyedit.py"
SUBJECT = {"token": "subject", "kept": 0}


def make(place, model):
    """Train a run that knows some facts; make a plan for it, and export that for EasyEdit."""
    world = bh.World(subjects=40, relations=3, objects=12, seed=3)
    corpus = bh.Corpus(world, exposures=16)
    config = bh.default_config(
        model, steps=60, batch_size=8, block_length=64, threads=1, tensorboard=False
    )
    bh.train(corpus, out=place / "run", config=config)
    few = {"repeats": 2, "same_object": 1, "same_relation": 2, "regular": 2, "probes": 2}
    bh.plan(place / "run", edits=4, distinct=False, out=place / "plan", **few)
    bh.export(place / "run", place / "easyedit", to="easyedit", plan=place / "plan")
    return place


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run that knows some facts, a plan for it, and the plan as EasyEdit's arguments."""
    return make(tmp_path_factory.mktemp("easyedit"), "nano")


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    """The same with a Llama, whose matrices have no bias: EasyEdit's WISE would drop it."""
    return make(tmp_path_factory.mktemp("easyedit-llama"), "llama-nano")


def run_example(made, out, monkeypatch, *words):
    argv = [EXAMPLE, made / "run", made / "easyedit" / "easyedit.json", out, *words]
    monkeypatch.setattr(sys, "argv", [str(word) for word in argv])
    runpy.run_path(str(EXAMPLE), run_name="__main__")


def edited(made, out, monkeypatch, *words):
    """Run the example; return the edited model and its changes of parameters."""
    run_example(made, out, monkeypatch, *words)
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


MATRIX = "model.layers.1.mlp.down_proj"


def wrapped(llama, out, monkeypatch, method, *settings):
    """Run the example with a memory; return its frame and its tensors."""
    words = ["--method", method, "--plan", llama / "plan", "--no-contexts"]
    for each in (f'inner_params=["{MATRIX.replace(".1.", "[1].")}.weight"]', *settings):
        words += ["--set", each]
    run_example(llama, out, monkeypatch, *words)
    return pl.read_parquet(out / "frame.parquet"), load_file(out / "memory.safetensors")


def in_sequence(llama, out, name, settings):
    """Make the edits of the plan one after another; return the last delta, and its evaluation."""
    edit = bh.edit(
        llama / "run", llama / "plan", name, out, settings=settings, sequential=True, device="cpu"
    )
    frame = bh.evaluate(edit, llama / "plan", device="cpu")
    return bh.load(edit).deltas()[None], frame


def test_grace_has_our_codebook_and_answers_as_it_does(llama, tmp_path, monkeypatch):
    # Radii so small that no two keys meet and no other token is within one.
    theirs, memory = wrapped(
        llama, tmp_path / "theirs", monkeypatch, "grace",
        "n_iter=30", "edit_lr=0.1", 'val_init="warm"', "eps=1e-4",
    )  # fmt: skip
    settings = {"steps": 30, "learning_rate": 0.1, "layer": 1, "epsilon": 1e-5, "stop_loss": 0.0}
    delta, own = in_sequence(llama, tmp_path / "own", "grace", settings)
    book = delta.changes[MATRIX]
    assert memory["keys"].shape == book.keys.shape == (4, 352)
    assert memory["epsilons"].flatten().tolist() == pytest.approx([1e-4] * 4)
    for name, each in (("keys", book.keys), ("values", book.values)):
        apart = (memory[name].double() - each.double()).norm() / each.double().norm()
        assert apart < 1e-5, name
    keys = ["stage", "probe"]
    theirs, own = theirs.sort(keys), own.sort(keys)
    assert theirs["method"].unique().to_list() == ["EasyEdit GRACE"]
    for name in ("log_probability_old", "log_probability_true", "log_probability_new"):
        np.testing.assert_allclose(theirs[name].fill_null(0), own[name].fill_null(0), atol=1e-4)
    for name in ("generated", "exact_match", "rank"):
        assert theirs[name].eq_missing(own[name]).mean() > 0.99
    asked = theirs.filter(group="edited", stage="after")
    assert asked["new_match"].all()


def test_wise_merges_as_ours_does():
    module = runpy.run_path(str(EXAMPLE))["easyedit_module"]("models.wise.merge.gta")
    merge = module.GTA("magnitude", "sum", normalize=True)
    generator = torch.Generator().manual_seed(1)
    base, *shards = (torch.randn(20, 30, generator=generator) for _ in range(4))
    wanted = merge.execute([1 / 3] * 3, base, [base + each for each in shards], densities=0.5)
    votes = Votes.none(shards[0])
    for shard in shards:
        votes = votes.with_one(shard, 0.5)
    torch.testing.assert_close(base + votes.merged(), wanted)


def test_wise_edits_a_run_and_keeps_earlier_edits(llama, tmp_path, monkeypatch):
    frame, memory = wrapped(llama, tmp_path / "theirs", monkeypatch, "wise")
    # Entries outside of the mask only shrink, by the optimiser's weight decay.
    assert memory["change"].abs().gt(1e-3).double().mean().item() == pytest.approx(0.2, abs=0.01)
    assert memory["activation"] > 0
    asked = frame.filter(group="edited").group_by("stage").agg(pl.col("log_probability_new").mean())
    said = dict(asked.iter_rows())
    assert said["after"] > said["before"]
    assert frame["method"].unique().to_list() == ["EasyEdit WISE"]
