"""Choose the settings of methods on one half of the facts, and confirm them on the other.

    python benches/tune.py RUN [METHOD ...] [--edits 6] [--out tuning.json]

RUN is the model in the README's section Training. Facts are split in two by a hash of their
number: settings are tried on one half, and the chosen ones are confirmed on the other. For each
setting it prints the share of successful edits and the share of known bystanders that are kept; the
best setting is the one with the highest harmonic mean of both.
"""

import argparse
import itertools
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

import machine
from behemoth.edit.protocol import EditContext
from behemoth.edit.registry import get_method
from behemoth.evaluate.frame import evaluate_model
from behemoth.plan.compile import compile_plan
from behemoth.plan.request import EditRequest
from behemoth.train.run import Run, read_run

LEVELS = (16, 64, 256, 1024)
# Around what earlier, wider grids had found; the first value of each is not the best by design.
GRIDS = {
    "ft": {"learning_rate": (5e-5, 1e-4, 2e-4), "steps": (60,)},
    "ft_l": {"learning_rate": (2e-4, 5e-4, 1e-3)},
    "ft_svd": {"learning_rate": (5e-5, 1e-4, 2e-4), "steps": (60,)},
    "lora": {"learning_rate": (1e-3, 2e-3, 4e-3), "steps": (40, 60)},
    "grad_ascent": {"learning_rate": (3e-5, 1e-4, 3e-4)},
    "grad_diff": {"learning_rate": (3e-5, 1e-4), "retain": (1.0, 5.0), "steps": (40,)},
    "kl_min": {"learning_rate": (1e-5, 3e-5), "retain": (1.0, 5.0, 25.0)},
    "npo": {"learning_rate": (3e-5, 1e-4, 3e-4)},
    "simnpo": {"learning_rate": (1e-4, 3e-4), "forget": (0.125, 1.0), "steps": (40,)},
    "undial": {"learning_rate": (1e-5, 3e-5, 1e-4)},
    "wga": {"learning_rate": (3e-5, 1e-4, 3e-4)},
    "satimp": {"learning_rate": (3e-5, 1e-4, 3e-4), "retain": (0.1, 1.0)},
    "ceu": {"learning_rate": (1e-5, 3e-5, 1e-4)},
    "pdu": {"learning_rate": (3e-5, 1e-4, 3e-4), "retain": (1.0, 50.0)},
    "task_vector": {"learning_rate": (3e-5, 1e-4, 3e-4)},
    "rmu": {"learning_rate": (3e-4, 1e-3), "steering": (20.0, 60.0), "retain": (1.0, 10.0)},
    "refusal": {"learning_rate": (5e-5, 1e-4, 2e-4), "steps": (60,)},
    "dpo_refusal": {"learning_rate": (3e-5, 1e-4, 3e-4)},
    "rome": {},
    "memit": {},
    "emmet": {},
    "alphaedit": {},
    "ultraedit": {"learning_rate": (1e-3, 1e-2, 1e-1), "ridge": (1.0, 10.0)},
}


def half_of(facts: np.ndarray, half: int) -> np.ndarray:
    """Facts of one half: a multiplicative hash, so that both have all subjects and relations."""
    return facts[((facts * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(63)) == half]


def measure(run: Run, model: Any, name: str, settings: dict, half: int, edits: int) -> dict:
    """One setting on one half of the facts: a row of the table."""
    kind = "refusal" if name in ("refusal", "dpo_refusal") else "remap"
    facts = half_of(np.arange(run.corpus.world.num_facts, dtype=np.uint64), half)
    request = EditRequest(edits=edits, kind=kind, exposures=LEVELS, independent=True, seed=half)
    plan = compile_plan(run.corpus, request, known=facts)
    method = get_method(name, settings)
    begin = time.perf_counter()
    context = EditContext(run.corpus, seed=half, run=run.directory)
    found = method.apply(model, list(plan.singles()), context)
    seconds = time.perf_counter() - begin
    deltas = {
        int(edit): delta for edit, delta in zip(plan.edits["edit"].to_list(), found, strict=True)
    }
    frame = evaluate_model(model, run.corpus, plan, deltas).filter(pl.col("stage") == "after")
    edited = frame.filter((pl.col("group") == "edited") & pl.col("edit_known"))
    kept = frame.filter(~pl.col("must_change") & pl.col("known") & (pl.col("group") != "forget"))
    # Preferring a refusal to the old answer need not make it likely: the old one must be gone.
    forgetting = method.info.forgets() and name != "refusal"
    success = ~pl.col("old_match") if forgetting else pl.col("exact_match")
    row = {
        "method": name,
        **settings,
        "success": edited.select(success.mean()).item(),
        "kept": kept["old_match"].mean(),
        "worst group": kept.group_by("group").agg(pl.col("old_match").mean())["old_match"].min(),
        "kl": kept["kl"].mean(),
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
    machine.note_option(parser)
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
    scores = {f"{row['method']}_score": row["score"] for row in rows if row["half"] == 1}
    machine.record("tune", scores, arguments.note)


if __name__ == "__main__":
    main()
