"""The effect of one rank-1 edit on other facts: recall of a random sample of all known facts.

    python benches/bystanders.py RUN [--edits 6] [--sample 400]

RUN is a trained model. Facts that it knows are edited one by one, each from the unedited model,
by LoRA of rank 1 on the MLPs; then its recall of other facts that it knew, drawn at random, is
measured.
"""

import argparse

import numpy as np
import polars as pl
import torch

import machine
from behemoth.edit.methods.lora import Lora
from behemoth.edit.protocol import EditContext
from behemoth.evaluate.dose import doses, ed50
from behemoth.plan.compile import compile_plan
from behemoth.plan.request import EditRequest
from behemoth.recall.facts import recall
from behemoth.train.run import read_run

LEVELS = (4, 16, 64, 256, 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--edits", type=int, default=6, help="of each level of exposures")
    parser.add_argument("--sample", type=int, default=400, help="other facts to ask for")
    parser.add_argument("--threads", type=int, default=1)
    machine.note_option(parser)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    run = read_run(arguments.run)
    model = run.load_model(device="cpu")
    stated = pl.col("template") == "default"
    known = recall(model, run.corpus).filter(stated & pl.col("exact_match"))["fact"].to_numpy()
    request = EditRequest(edits=arguments.edits, exposures=LEVELS, independent=True, seed=5)
    plan = compile_plan(run.corpus, request, known=known)
    sample = np.random.default_rng(0).choice(known, arguments.sample, replace=False)
    found = Lora(rank=1).apply(
        model, list(plan.singles()), EditContext(run.corpus, run=run.directory)
    )
    flipped, kept = [], []
    for fact, delta in zip(plan.edits["fact"].to_list(), found, strict=True):
        asked = np.append(sample[sample != fact], np.uint64(fact))
        with delta.apply(model):
            after = recall(model, run.corpus, facts=asked).filter(stated)
        flipped.append(not after.filter(pl.col("fact") == fact)["exact_match"].item())
        kept.append(after.filter(pl.col("fact") != fact)["exact_match"].mean())
    deltas = {
        int(edit): delta for edit, delta in zip(plan.edits["edit"].to_list(), found, strict=True)
    }
    dose = ed50(doses(deltas, plan), resamples=1)
    print(f"{len(plan)} edits of known facts, {len(known)} facts known")
    print(f"no longer say the old object: {np.mean(flipped):.3f}")
    print(f"bystander recall: mean {np.mean(kept):.3f}, lowest of an edit {np.min(kept):.3f}")
    figures = {"flipped": np.mean(flipped), "kept": np.mean(kept), "kept_worst": np.min(kept)}
    for row in dose.iter_rows(named=True):
        figures[f"ed50_{row['exposures']}_steps"] = row["ed50"]
        print(f"ED50 at {row['exposures']} exposures: {row['ed50']:.0f} steps")
    machine.record("bystanders", figures, arguments.note)


if __name__ == "__main__":
    main()
