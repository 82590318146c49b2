"""Choose the settings of gradient methods on facts that nothing else looks at.

    python benches/tune.py RUN [METHOD ...] [--edits 6] [--out tuning.json]

RUN is a trained model (the README's first experiment). Facts are split in two by a hash of their
number: settings are tried on one half, and the ones that were chosen are confirmed on the other.
For each setting it prints how many edits flipped, what became of bystanders that the model knew,
and the dose; the best is the one with the highest harmonic mean of both.
"""

import argparse
import itertools
import json
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import torch

from behemoth.edit.compiler import compile_plan
from behemoth.edit.protocol import EditContext
from behemoth.edit.registry import get_method
from behemoth.edit.request import EditRequest
from behemoth.evaluate.dose import doses, ed50
from behemoth.evaluate.frame import evaluate_model
from behemoth.evaluate.run import read_run

LEVELS = (16, 64, 256, 1024)
RATES = {
    "ft": (1e-4, 2e-4, 4e-4),
    "ft_l": (1e-3, 3e-3, 1e-2),
    "ft_svd": (1e-4, 2e-4, 4e-4),
    "lora": (1e-3, 2e-3, 4e-3),
}
FORGETTING = ("grad_ascent", "grad_diff", "kl_min", "npo", "simnpo", "undial", "wga", "task_vector")
GRIDS = {
    **{name: {"learning_rate": rates} for name, rates in RATES.items()},
    **{name: {"learning_rate": (3e-5, 1e-4, 3e-4)} for name in FORGETTING},
    "rmu": {"learning_rate": (3e-4, 1e-3, 3e-3), "steering": (6.5, 20.0)},
    "refusal": {"learning_rate": (1e-4, 2e-4, 4e-4)},
    "dpo_refusal": {"learning_rate": (1e-4, 3e-4, 1e-3)},
}
GRIDS["lora"]["retain_rows"] = (4, 8, 16)
GRIDS["ft"]["retain_rows"] = (8, 16)


def half_of(facts: np.ndarray, half: int) -> np.ndarray:
    """Facts of one half: a multiplicative hash, so that both have all subjects and relations."""
    return facts[((facts * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(63)) == half]


def measure(run, model, name: str, settings: dict, half: int, edits: int) -> dict:
    """One setting on one half of the facts: a row of the table."""
    kind = "refusal" if name in ("refusal", "dpo_refusal") else "remap"
    facts = half_of(np.arange(run.corpus.world.fact_count, dtype=np.uint64), half)
    request = EditRequest(edits=edits, kind=kind, exposures=LEVELS, independent=True, seed=half)
    plan = compile_plan(run.corpus, request, known=facts)
    method = get_method(name, settings)
    begin = time.perf_counter()
    found = method.apply(model, list(plan.singles()), EditContext(corpus=run.corpus, seed=half))
    seconds = time.perf_counter() - begin
    deltas = {
        int(edit): delta for edit, delta in zip(plan.edits["edit"].to_list(), found, strict=True)
    }
    frame = evaluate_model(model, run.corpus, plan, deltas).filter(pl.col("stage") == "after")
    edited = frame.filter((pl.col("group") == "edited") & pl.col("edit_known"))
    kept = frame.filter(~pl.col("must_change") & pl.col("known") & (pl.col("group") != "forget"))
    forgetting = method.info.family == "unlearning" and kind == "remap"
    success = ~pl.col("old_match") if forgetting else pl.col("exact_match")
    dose = ed50(doses(deltas, plan), resamples=1)
    by_level = ["-" if value is None else f"{value:.0f}" for value in dose["ed50"].to_list()]
    row = {
        "method": name,
        **settings,
        "success": edited.select(success.mean()).item(),
        "kept": kept["old_match"].mean(),
        "worst group": kept.group_by("group").agg(pl.col("old_match").mean())["old_match"].min(),
        "kl": kept["kl"].mean(),
        "ED50": " ".join(by_level),
        "edits/s": len(plan) / seconds,
    }
    both = (row["success"], row["kept"])
    row["score"] = 2 * both[0] * both[1] / max(sum(both), 1e-9)
    return row


def show(row: dict) -> None:
    cells = [
        f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in row.items()
    ]
    print(", ".join(cells), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("methods", nargs="*", default=list(GRIDS))
    parser.add_argument("--edits", type=int, default=6, help="of each level of exposures")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    run = read_run(arguments.run)
    model = run.load_model()
    rows = []
    for name in arguments.methods:
        grid = GRIDS[name]
        tried = []
        for values in itertools.product(*grid.values()):
            settings = dict(zip(grid, values, strict=True))
            tried.append((settings, measure(run, model, name, settings, 0, arguments.edits)))
            show(tried[-1][1])
        best = max(tried, key=lambda pair: pair[1]["score"])[0]
        confirmed = measure(run, model, name, best, 1, arguments.edits)
        print("chosen, on the other half: ", end="")
        show(confirmed)
        rows += [{**row, "half": 0} for _, row in tried] + [{**confirmed, "half": 1}]
    if arguments.out:
        arguments.out.write_text(json.dumps(rows, indent=1) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
