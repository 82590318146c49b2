"""The effect of one batch of many edits, and the best settings of locate-and-edit methods for it.

    python benches/batches.py RUN [METHOD ...] [--batches 1,10,100] [--out batches.md]

RUN is the model in the README's section Training. As in `tune.py`, settings are tried on one
half of the facts, and the best are confirmed on the other. The score is the harmonic mean of
success and of the share of known bystanders that are kept, averaged over the batch sizes. For
batches of fewer than 40 edits several are made, so that no number comes from a handful of facts.
"""

import argparse
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

import machine
from behemoth.edit.protocol import EditContext
from behemoth.edit.registry import get_method
from behemoth.evaluate.damage import damage
from behemoth.evaluate.frame import evaluate_model
from behemoth.plan.compile import compile_plan
from behemoth.plan.request import EditRequest
from behemoth.train.run import Run, read_run
from tune import half_of

# From what single edits are best with to what hardly any edit survives.
GRIDS = {
    "rome": {"ridge": (1e-5,)},
    "memit": {"weight": (0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0)},
    "emmet": {"slack": (0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0)},
    "alphaedit": {"damping": (0.1, 0.3, 0.5, 1.0, 3.0)},
}
EDITS = 40  # at least, over the batches of one size


def plans_of(run: Run, half: int, batch: int) -> list[Any]:
    facts = half_of(np.arange(run.corpus.world.num_facts, dtype=np.uint64), half)
    return [
        compile_plan(run.corpus, EditRequest(edits=batch, seed=seed), known=facts)
        for seed in range(-(-EDITS // batch))
    ]


def measure(run: Run, model: Any, name: str, settings: dict, plans: list[Any]) -> dict:
    """One setting on batches of one size."""
    method = get_method(name, settings)
    context = EditContext(run.corpus, run=run.directory, cache=Path(run.directory) / "covariances")
    frames = []
    for number, plan in enumerate(plans):
        [delta] = method.apply(model, [plan], context)
        frame = evaluate_model(model, run.corpus, plan, {None: delta})
        frames.append(frame.with_columns(pl.lit(number).alias("batch")))
    frame = pl.concat(frames)
    edited = frame.filter((pl.col("group") == "edited") & pl.col("edit_known"), stage="after")
    lost = damage(frame)
    success = edited.select(pl.col("exact_match").mean()).item()
    kept = 1 - lost["lost"].sum() / lost["known"].sum()
    worst = lost.sort("share").row(-1, named=True)
    return {
        "method": name,
        **settings,
        "success": success,
        "kept": kept,
        "worst": 1 - worst["share"],
        "group": worst["group"],
        "score": 2 * success * kept / max(success + kept, 1e-9),
    }


def line(row: dict, key: str, batch: int, half: str) -> str:
    name = f"**{row['method']}**" if half != "first" else row["method"]
    return (
        f"| {name} | {key} {row[key]:g} | {batch} | {half} | {row['success']:.2f} | "
        f"{row['kept']:.2f} | {row['worst']:.2f} ({row['group'].replace('_', ' ')}) |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("methods", nargs="*", default=list(GRIDS))
    parser.add_argument("--batches", default="1,10,100")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    machine.note_option(parser)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    run = read_run(arguments.run)
    model = run.load_model("cpu")
    batches = [int(number) for number in arguments.batches.split(",")]
    plans = {(half, batch): plans_of(run, half, batch) for half in (0, 1) for batch in batches}
    lines = [
        "| method | setting | batch | half | success | bystanders kept | worst group |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    figures: dict[str, float] = {}
    for name in arguments.methods:
        [(key, values)] = GRIDS[name].items()
        scores = {}
        for value in values:
            rows = [measure(run, model, name, {key: value}, plans[0, batch]) for batch in batches]
            scores[value] = statistics.mean(row["score"] for row in rows)
            lines += [
                line(row, key, batch, "first") for row, batch in zip(rows, batches, strict=True)
            ]
        best = max(scores, key=lambda value: scores[value])
        for batch in batches:
            row = measure(run, model, name, {key: best}, plans[1, batch])
            lines.append(line(row, key, batch, "chosen: the other"))
            figures[f"{name}_kept_in_{batch}"] = row["kept"]
        print("\n".join(lines[-len(batches) * (len(values) + 1) :]), flush=True)
    if arguments.out:
        arguments.out.write_text("\n".join(lines) + "\n")
    machine.record("batches", figures, arguments.note)


if __name__ == "__main__":
    main()
