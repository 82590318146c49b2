"""Trainers of open-unlearning on a run: edited models that forget. Its metrics, beside ours.

Needs a clone of open-unlearning (``OPEN_UNLEARNING``) and the Python of an environment with its
requirements (``OPEN_UNLEARNING_PYTHON``); docs/from-open-unlearning.md names the versions. Nothing
of the network is asked.
"""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy.stats import hmean, ks_2samp
from transformers import AutoModelForCausalLM, AutoTokenizer

import behemoth as bh
from behemoth.edit.gradient.feeder import Feeder
from behemoth.edit.gradient.step import forward
from behemoth.edit.parametrise import dense_changes, weight_names
from behemoth.edit.protocol import EditContext
from behemoth.edit.registry import get_method
from behemoth.evaluate.membership import auc, membership, privacy
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


@pytest.fixture(scope="module")
def measured(foreign, tmp_path_factory):
    """A run in text, an edit, the twin, and the metrics of the edit beside the twin."""
    place = tmp_path_factory.mktemp("metrics")
    bh.train_tokenizer("bios-en", place / "bpe", vocabulary=600, documents=2000)
    grammar = bh.Grammar.named("bios-en")
    corpus = bh.Corpus(
        grammar.world(40), grammar=grammar, tokenizer=place / "bpe", exposures=bh.Groups([0, 32])
    )
    corpus.write(place / "corpus", probes=0)
    config = bh.default_config(
        "pico", steps=600, batch_size=16, block_length=64, threads=1, tensorboard=False
    )
    bh.train(place / "corpus", out=place / "run", config=config)
    few = {"repeats": 2, "same_object": 2, "same_relation": 2, "regular": 2, "probes": 2}
    plan = bh.plan(place / "run", edits=8, distinct=False, out=place / "plan", **few)
    bh.edit(place / "run", plan, method="retrain", out=place / "twin")
    bh.edit(place / "run", plan, method="grad_ascent", out=place / "edit", settings={"steps": 4})
    bh.export(place / "run", place / "tofu", to="tofu", plan=plan)
    for name in ("edit", "twin"):
        bh.export(place / name, place / f"{name}-hf", to="hf")
    python, clone = foreign
    words = [python, SCRIPT, clone, place / "edit-hf", place / "tofu", place / "theirs"]
    words += ["--evaluate", place / "twin-hf"]
    own = {**os.environ, "HF_HUB_OFFLINE": "1"}
    ran = subprocess.run(words, env=own, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-4000:]
    return place, plan, json.loads((place / "theirs" / "TOFU_EVAL.json").read_text())


class Scored:
    """Our scores of the rows that their metrics read, with one of two models."""

    def __init__(self, place, plan, name):
        self.corpus, self.plan = bh.load(place / "corpus"), plan
        self.model = AutoModelForCausalLM.from_pretrained(place / f"{name}-hf")
        self.tokenizer = AutoTokenizer.from_pretrained(place / f"{name}-hf")
        data = place / "theirs" / "locuslab" / "TOFU"
        self.rows = {}
        for part in ("forget", "retain", "holdout"):
            [file] = data.glob(f"{part}*.json")
            self.rows[part] = [json.loads(line) for line in file.read_text().splitlines()]

    def __call__(self, pairs, *, member=True, end=True):
        """Scores with k = 0.4, with or without the label of the end-of-text."""
        prompts, answers = [], []
        for question, answer in pairs:
            prompts.append(self.tokenizer(question)["input_ids"])
            whole = self.tokenizer(question + answer)["input_ids"]
            answers.append(whole[len(prompts[-1]) :] + [self.tokenizer.eos_token_id] * end)
        tokens = pl.List(pl.UInt32)
        rows = pl.DataFrame(
            {"fact": range(len(prompts)), "prompt": prompts, "answer": answers},
            schema={"fact": pl.UInt64, "prompt": tokens, "answer": tokens},
        ).with_columns(member=pl.lit(member))
        return membership(self.model, self.corpus, self.plan, pairs=rows, share=0.4)

    def losses(self, part, key="answer"):
        return -self([(row["question"], row[key]) for row in self.rows[part]])["loss"].to_numpy()

    def truth_ratios(self, part):
        """Geometric mean over the wrong answers, divided by the right one."""
        wrong = [
            -self([(row["question"], one) for one in row["perturbed_answer"]])["loss"].mean()
            for row in self.rows[part]
        ]
        return np.exp(self.losses(part, "paraphrased_answer") - wrong)

    def attacked(self, *, end):
        """Forgotten facts, and facts that are never written."""
        return pl.concat(
            self(
                [(row["question"], row["answer"]) for row in self.rows[part]],
                member=part == "forget",
                end=end,
            )
            for part in ("forget", "holdout")
        )


def test_metrics_are_ours_of_the_same_rows(measured):
    place, plan, said = measured
    edited, twin = Scored(place, plan, "edit"), Scored(place, plan, "twin")
    ratios = edited.truth_ratios("forget")
    kept = np.exp(-edited.losses("retain")).mean()
    useful = np.maximum(0, 1 - edited.truth_ratios("retain")).mean()
    answers, ended = edited.attacked(end=False), edited.attacked(end=True)
    beside = ended.with_columns(pl.col("loss") - twin.attacked(end=True)["loss"])
    leak = privacy(answers, twin.attacked(end=False)).filter(score="min_k")["privacy_leak"].item()
    own = {
        "forget_Q_A_Prob": np.exp(-edited.losses("forget")).mean(),
        "forget_truth_ratio": np.minimum(ratios, 1 / ratios).mean(),
        "forget_quality": ks_2samp(ratios, twin.truth_ratios("forget")).pvalue,
        "retain_Q_A_Prob": kept,
        "retain_Truth_Ratio": useful,
        "mia_loss": auc(ended, "loss"),
        "mia_min_k": auc(answers, "min_k"),
        "mia_min_k_plus_plus": auc(answers, "min_k_plus_plus"),
        "mia_reference": auc(beside, "loss"),
        "privleak": leak,
    }
    rouge = said["retain_Q_A_ROUGE"]["agg_value"]
    if rouge > 0:
        own["model_utility"] = hmean([kept, useful, rouge])
    assert {name: said[name]["agg_value"] for name in own} == pytest.approx(own, rel=1e-4)


def test_extraction_strength_is_ours_but_where_nothing_is_extracted(measured):
    place, plan, said = measured
    frame = bh.evaluate(place / "edit", plan).filter(stage="after", group="forget").sort("edit")
    lengths = plan.training.filter(role="edit").unique("edit").sort("edit")["old_answer"].list.len()
    own = frame["extraction_strength"].to_numpy()
    theirs = said["extraction_strength"]["value_by_index"].values()
    expected = np.where(own == 0, 1 / lengths.to_numpy(), own)
    assert [each["score"] for each in theirs] == pytest.approx(expected)
