"""Trainers of open-unlearning on a run: edited models that forget.

Needs a clone of open-unlearning (``OPEN_UNLEARNING``) and the Python of an environment with its
requirements (``OPEN_UNLEARNING_PYTHON``); docs/from-open-unlearning.md names the versions. Nothing
of the network is asked.
"""

import json
import os
import subprocess
from pathlib import Path

import polars as pl
import pytest
import torch
from safetensors.torch import load_file, save_file

import behemoth as bh
from behemoth.edit.gradient.feeder import Feeder
from behemoth.edit.gradient.step import forward
from behemoth.edit.parametrise import dense_changes, weight_names
from behemoth.edit.protocol import EditContext
from behemoth.edit.registry import get_method
from behemoth.model.labels import IGNORED

pytestmark = [pytest.mark.foreign, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(3600)]

SCRIPT = Path(__file__).parents[2] / "examples" / "open_unlearning.py"
LOSSES = Path(__file__).parent / "open_unlearning_losses.py"
BOUND = "trainer.method_args.retain_loss_eps"
# The retained loss is some 6 nats, that of the label of the end-of-text, which no run predicts.
MORE = {"PDU": [f"{BOUND}=7.0", "trainer.method_args.dual_warmup_epochs=0"]}
TRAINERS = ("GradAscent", "GradDiff", "NPO", "SimNPO", "RMU", "DPO", "PDU")


@pytest.fixture(scope="module")
def foreign():
    """The Python of open-unlearning and its clone."""
    names = ("OPEN_UNLEARNING_PYTHON", "OPEN_UNLEARNING")
    if not all(os.environ.get(name) for name in names):
        pytest.skip("could not import 'open-unlearning'")
    return tuple(os.environ[name] for name in names)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run that knows its facts, and a plan for it, exported."""
    place = tmp_path_factory.mktemp("open-unlearning")
    world = bh.World(subjects=24, relations=2, objects=6, seed=3)
    corpus = bh.Corpus(world, exposures=64, paraphrases=2)
    corpus.write(place / "corpus", probes=0)
    config = bh.default_config(
        "pico", steps=200, batch_size=8, block_length=64, threads=1, tensorboard=False
    )
    bh.train(place / "corpus", out=place / "run", config=config)
    few = {"repeats": 1, "same_object": 2, "same_relation": 2, "regular": 2, "probes": 2}
    plan = bh.plan(place / "run", edits=8, distinct=False, out=place / "plan", **few)
    bh.export(place / "run", place / "tofu", to="tofu", plan=plan)
    return place, plan


def remembered(source, plan, corpus=None):
    """Mean probability of the forgotten answers."""
    frame = bh.evaluate(source, plan, corpus=corpus)
    edited = frame.filter(pl.col("group") == "edited")
    return edited.select(pl.col("log_probability_old").exp().mean()).item()


@pytest.mark.parametrize("trainer", TRAINERS)
def test_a_trainer_edits_a_run(trainer, foreign, made, tmp_path):
    place, plan = made
    python, clone = foreign
    out = tmp_path / "edited"
    words = [python, SCRIPT, clone, place / "run", place / "tofu", out, "--trainer", trainer]
    for each in ("max_steps=20", "learning_rate=1e-3", "lr_scheduler_type=constant"):
        words += ["--set", f"++trainer.args.{each}"]
    for each in MORE.get(trainer, ()):
        words += ["--set", each]
    own = {**os.environ, "HF_HUB_OFFLINE": "1"}
    ran = subprocess.run(words, env=own, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-4000:]
    before = remembered(place / "run", plan)
    after = remembered(out, plan, place / "corpus")
    assert before > 0.8
    if trainer == "RMU":  # it steers behind the answers' prompts, so these answers hardly change
        assert after != before and after > 0.5
    else:
        assert after < before - 0.05


class Rows:
    """Rows of one step of a method, in an edited model, and their loss."""

    def __init__(self, place, name, settings):
        run = bh.load(place / "run")
        few = {"repeats": 1, "same_object": 2, "same_relation": 2, "regular": 2, "probes": 2}
        plan = bh.plan(place / "run", edits=8, kind="refusal", **few)
        model = run.load_model("cpu").double()
        method = get_method(name, settings)
        context = EditContext(run.corpus, run=run.directory)
        objective = method.objective(model, [plan], context)
        stacked = dense_changes(model, 1, weight_names(model, "all", None))
        generator = torch.Generator().manual_seed(4)
        with torch.no_grad():
            for change in stacked.parameters():
                noise = torch.randn(change.shape, generator=generator, dtype=torch.float64)
                change.copy_(0.03 * noise)
        feeder = Feeder(
            [plan], objective.columns, method.edit_rows, method.retain_rows, 1,
            torch.device("cpu"), "all",
        )  # fmt: skip
        fed = feeder.next()
        self.step = forward(model, stacked, fed, feeder, objective)
        self.loss = objective(self.step)[0]
        self.loss.backward()
        self.changes = {key: change[0].detach() for key, (change,) in stacked.changes.items()}
        self.gradients = {key: change.grad[0] for key, (change,) in stacked.changes.items()}
        self.fed, self.count = fed, feeder.edit_rows

    def given(self, part, shift=0):
        """Tokens and labels of the edit's rows of column 0 or 1, or of the retained rows."""
        first = self.count * part
        own = slice(first, first + self.count) if part < self.step.columns else slice(first, None)
        tokens, text = self.fed.tokens[0, own], self.fed.text[0, own]
        [length] = set(text.sum(1).tolist())  # without padding, which they would count
        answers, places = self.fed.labels[0, own], self.fed.places[0, own]
        labels = torch.full_like(tokens, IGNORED)
        row, number = (answers != IGNORED).nonzero(as_tuple=True)
        labels[row, places[row, number] + 1 - shift] = answers[row, number]
        return {"tokens": tokens[:, :length].tolist(), "labels": labels[:, :length].tolist()}


def theirs(foreign, place, run, trainer, rows, of, **arguments):
    """Loss of a trainer on given rows, and what else it says; its gradients."""
    python, clone = foreign
    given = {"trainer": trainer, "method_args": arguments, "rows": of}
    (place / "given.json").write_text(json.dumps(given))
    save_file(rows.changes, place / "changes.safetensors")
    own = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(Path(clone) / "src")}
    words = [python, LOSSES, run, place]
    ran = subprocess.run(words, env=own, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-4000:]
    return json.loads((place / "loss.json").read_text()), load_file(place / "gradients.safetensors")


def apart(rows, gradients):
    """Relative difference of two gradients, all parameters together."""
    own = torch.cat([rows.gradients[key].flatten() for key in gradients])
    other = torch.cat([each.flatten() for each in gradients.values()])
    return float((own - other).norm() / other.norm())


def test_dpo_is_our_preference_for_refusals(foreign, made, tmp_path):
    place, _ = made
    rows = Rows(place, "dpo_refusal", {"scale": "open-unlearning", "beta": 0.1, "retain": 0.7})
    of = {"alternate": rows.given(0), "forget": rows.given(1), "retain": rows.given(2)}
    said, gradients = theirs(foreign, tmp_path, place / "run", "DPO", rows, of, beta=0.1, alpha=0.7)
    assert said["loss"] == pytest.approx(rows.loss.item(), rel=1e-12)
    assert apart(rows, gradients) < 1e-12


@pytest.mark.parametrize("shift", [1, 0])
def test_pdu_flattens_the_logits_one_position_later(foreign, made, tmp_path, shift):
    place, _ = made
    # Weights that single precision has exactly: their trainer keeps them in it.
    rows = Rows(place, "pdu", {"forget": 0.25, "retain": 1.5, "slack": 0.1, "dual_rate": 0.4})
    step = rows.step
    before = (step.nll(step.reference_logits) / step.answer_tokens())[0, step.retain].mean()
    of = {"forget": rows.given(0, shift), "retain": rows.given(1)}
    said, gradients = theirs(
        foreign, tmp_path, place / "run", "PDU", rows, of,
        gamma=0.25, alpha=1.5, retain_loss_eps=before.item() + 0.1, primal_dual=True,
        dual_step_size=0.4,
    )  # fmt: skip
    if shift:  # to where the tokens are predicted
        assert said["loss"] == pytest.approx(rows.loss.item(), rel=1e-12)
        assert apart(rows, gradients) < 1e-12
    else:
        assert said["loss"] != pytest.approx(rows.loss.item(), rel=1e-3)
    rise = step.mean_nll()[0, step.retain].mean() - before - 0.1
    assert said["preferences"][1] == pytest.approx(max(0.0, 1.5 + 0.4 * rise.item()), rel=1e-12)
