"""Where locate-and-edit methods work: each at each token and layer, compared with tracing.

    python benches/places.py OUT [METHOD ...] [--model nano] [--edits 16] [--wordings 3]

OUT keeps the models between calls. They are trained on 360 facts of 120 subjects, whose names are
three tokens, in six wordings, of which two are held out; objects are one token, or two with
``--objects 20``. With ``--model 14m`` there are six layers, and the facts of a subject are in one
document. Facts that the model knows are edited one by one. It prints Markdown: exact matches of the
new object in the wordings of the plan and in the held-out ones, and of the old object for known
facts that should stay. Settings are chosen on one half of the facts and reported for the other.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import torch

import machine
from behemoth import Corpus, World
from behemoth.delta.delta import EditDelta
from behemoth.edit.locate.method import LocateAndEdit
from behemoth.edit.protocol import EditContext, EditMethod
from behemoth.edit.registry import get_method
from behemoth.evaluate.frame import evaluate_model
from behemoth.evaluate.trace import trace_model
from behemoth.plan.compile import compile_plan
from behemoth.plan.edit_plan import EditPlan
from behemoth.plan.request import EditRequest
from behemoth.recall.facts import recall
from behemoth.train import TrainConfig, train
from behemoth.train.run import Run, read_run
from tune import half_of

METHODS = ("rome", "memit", "emmet", "alphaedit")
KEPT = ("same_subject", "same_relation", "same_object")


def corpus(model: str, objects: int) -> Corpus:
    """Facts of subjects whose names have several tokens, for six layers in documents."""
    return Corpus(
        World(subjects=120, relations=3, objects=objects, seed=3),
        exposures=96,
        paraphrases=6,
        held_out=2,
        base=10,
        order="shuffle" if model == "nano" else "bios",
    )


def trained(place: Path, model: str, objects: int, tokens: int, threads: int) -> Run:
    """The run of a model, trained at the first call."""
    config = TrainConfig(
        model=model, tokens=tokens, batch_size=32, learning_rate=3e-3, threads=threads,
        tensorboard=False, device="cpu",
    )  # fmt: skip
    if (
        not (place / "run.json").is_file()
        or json.loads((place / "run.json").read_text())["status"] != "finished"
    ):
        train(corpus(model, objects), out=place, config=config)
    return read_run(place)


def edited(
    run: Run, model: torch.nn.Module, plan: EditPlan, method: EditMethod, cache: Path
) -> Sequence[EditDelta]:
    """Each edit of a plan alone, by one method."""
    context = EditContext(run.corpus, cache=cache, run=run.directory)
    return method.apply(model, list(plan.singles()), context)


def measure(run: Run, model: torch.nn.Module, plan: EditPlan, found: Sequence[EditDelta]) -> dict:
    """What the edits of one method at one place do: a row of the table."""
    numbers = plan.edits["edit"].to_list()
    deltas = {int(edit): delta for edit, delta in zip(numbers, found, strict=True)}
    frame = evaluate_model(model, run.corpus, plan, deltas).filter(pl.col("stage") == "after")

    def mean(group: str, column: str, kept: pl.Expr) -> float:
        own = frame.filter((pl.col("group") == group) & kept)
        return float(own.select(pl.col(column).mean()).item())

    row = {
        "efficacy": mean("edited", "exact_match", pl.lit(True)),
        "held out": mean("edited_held_out", "exact_match", pl.lit(True)),
    }
    row |= {
        group.replace("_", " "): mean(group, "old_match", ~pl.col("must_change") & pl.col("known"))
        for group in KEPT
    }
    kept = frame.filter(~pl.col("must_change") & pl.col("known"))
    return row | {"KL": float(kept.select(pl.col("kl").mean()).item())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("methods", nargs="*", default=list(METHODS))
    parser.add_argument("--model", default="nano")
    parser.add_argument("--objects", type=int, default=10, help="of a relation")
    parser.add_argument("--tokens", type=int, default=1_200_000, help="that the model sees")
    parser.add_argument("--edits", type=int, default=16)
    parser.add_argument("--wordings", type=int, default=3)
    parser.add_argument("--half", type=int, choices=(0, 1), default=1,
                        help="of the facts; settings are chosen on 0")  # fmt: skip
    parser.add_argument("--best", action="store_true", help="only where tracing says")
    parser.add_argument("--set", action="append", default=[], help="key=value of all methods")
    parser.add_argument("--threads", type=int, default=1)
    machine.note_option(parser)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    place = arguments.out / f"{arguments.model}-{arguments.objects}"
    run = trained(place, arguments.model, arguments.objects, arguments.tokens, arguments.threads)
    model = run.load_model("cpu")
    asked = recall(model, run.corpus)
    always = asked.group_by("fact").agg(pl.col("exact_match").all()).filter("exact_match")
    by_wording = asked.group_by("held_out").agg(pl.col("exact_match").mean())
    print(f"{arguments.model}: recall {dict(by_wording.iter_rows())} by whether held out")
    request = EditRequest(
        edits=arguments.edits, independent=True, wordings=arguments.wordings, seed=1
    )
    known = half_of(always["fact"].to_numpy(), arguments.half)
    plan = compile_plan(run.corpus, request, known=known)
    traced = trace_model(model, run.corpus, plan)
    effects = {
        (row["role"].removesuffix("_last"), row["layer"]): row["indirect_effect"]
        for row in traced.summary.filter(pl.col("kind") == "mlp").iter_rows(named=True)
    }
    best = traced.places[0]
    print(f"traced: token={best.token} layer={best.layer} ({best.effect:.3f})\n")
    print("| method | token | layer | MLP's effect | efficacy | held out | same subject | "
          "same relation | same object | KL |")  # fmt: skip
    print("|---" * 10 + "|")
    figures: dict[str, float] = {}
    layers = model.config.num_hidden_layers
    for name in arguments.methods:
        for token in ("subject", "prompt"):
            for layer in range(layers - (token == "subject")):
                if arguments.best and (token, layer) != (best.token, best.layer):
                    continue
                settings = [f"token={token}", f"layers={layer}", *arguments.set]
                method = get_method(name, dict(s.split("=") for s in settings), text=True)
                assert isinstance(method, LocateAndEdit)
                found = edited(run, model, plan, method, arguments.out)
                row = measure(run, model, plan, found)
                cells = " | ".join(f"{value:.2f}" for value in row.values())
                effect = effects[token, layer]
                print(f"| {name} | {token} | {layer} | {effect:.3f} | {cells} |", flush=True)
                figures[f"{name}_{token}_{layer}_lowest"] = min(list(row.values())[:5])
    machine.record("places", figures, arguments.note)


if __name__ == "__main__":
    main()
