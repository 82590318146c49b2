"""Differences between processors: the same training and the same edits with different rounding.

    python benches/processor.py [--edits 24] [--methods lora,ft,kl_min] [--folder PATH]

A nano model is trained on 180 facts. Then each way of rounding edits the same facts of that model,
and repeats the training run. The ways are the kernels that torch selects on this machine, with one
thread or two, and those it would select on a machine without AVX-512, or without vector
instructions. It reports how far doses, log-probabilities of the answers and weights differ from
those of the first way.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

import machine
from behemoth import Corpus, World

WAYS = {
    "native, 1 thread": (1, {}),
    "native, 2 threads": (2, {}),
    "AVX2": (1, {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}),
    "no vectors": (1, {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}),
}
METHODS = "lora,ft,ft_l,rome,memit,npo,kl_min"


def corpus() -> Corpus:
    """The corpus of all runs."""
    return Corpus(World(subjects=60, relations=3, objects=10, seed=4), exposures=48)


def train(out: Path, threads: int) -> None:
    """The run, in float32 whatever the processor has."""
    from behemoth.train import default_config, train

    settings = {"batch_size": 4, "epochs": 1.5, "tensorboard": False, "precision": "fp32"}
    train(corpus(), out=out, config=default_config("nano", threads=threads, **settings))


def work(run: Path, out: Path, methods: list[str], edits: int, threads: int) -> None:
    """Train and edit in this way; leaves a run and figures in `out`."""
    from behemoth.edit.protocol import EditContext
    from behemoth.edit.registry import get_method
    from behemoth.evaluate.dose import doses
    from behemoth.evaluate.frame import evaluate_model
    from behemoth.plan.compile import compile_plan
    from behemoth.plan.request import EditRequest
    from behemoth.train.run import read_run

    torch.set_num_threads(threads)
    train(out / "run", threads)
    model = read_run(run).load_model("cpu")
    bare = {"same_object": 0, "same_relation": 0, "regular": 40, "probes": 0}
    plan = compile_plan(corpus(), EditRequest(edits=edits, independent=True, repeats=4, **bare))
    context = EditContext(corpus=corpus(), run=run)
    found = {}
    for name in methods:
        deltas = dict(enumerate(get_method(name).apply(model, plan.singles(), context)))
        frame = evaluate_model(model, corpus(), plan, deltas).filter(stage="after", group="edited")
        dose = doses(deltas, plan).sort("edit")
        found[name] = {
            "dose": dose["dose"].to_list(),
            "new": frame.sort("edit", "wording")["log_probability_new"].to_list(),
            "match": frame.sort("edit", "wording")["exact_match"].to_list(),
        }
    again = read_run(out / "run").load_model("cpu")
    frame = evaluate_model(again, corpus(), plan, {}).filter(group="edited")
    found["train"] = {"old": frame.sort("edit", "wording")["log_probability_old"].to_list()}
    (out / "found.json").write_text(json.dumps(found))


def apart(one: Path, other: Path, methods: list[str]) -> dict[str, dict[str, float]]:
    """How far two ways are apart."""
    a, b = (json.loads((path / "found.json").read_text()) for path in (one, other))
    table = {}
    for name in methods:
        dose = np.array(a[name]["dose"], float) - np.array(b[name]["dose"], float)
        new = np.abs(np.array(a[name]["new"], float) - np.array(b[name]["new"], float))
        match = np.array(a[name]["match"]) != np.array(b[name]["match"])
        table[name] = {
            "other doses": float((dose != 0).mean()),
            "largest": float(np.abs(dose).max()),
            "nats, median": float(np.median(new)),
            "nats, largest": float(new.max()),
            "other matches": float(match.mean()),
        }
    old = np.abs(np.array(a["train"]["old"]) - np.array(b["train"]["old"]))
    nothing = dict.fromkeys(table[methods[0]], math.nan)
    table["train"] = nothing | {
        "nats, median": float(np.median(old)),
        "nats, largest": float(old.max()),
    }
    return table


def _text(name: str, value: float) -> str:
    if math.isnan(value):
        return ""
    if name.startswith("nats"):
        return f"{value:.1e}"
    return f"{value:.0f}" if name == "largest" else f"{value:.0%}"


def main() -> None:
    """Run every way in a process of its own, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--edits", type=int, default=24)
    parser.add_argument("--methods", default=METHODS)
    parser.add_argument("--folder", type=Path, help="keep what is made here")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    given = parser.parse_args()
    methods = given.methods.split(",")
    if given.way:
        threads = WAYS[given.way][0]
        out = given.folder / given.way.replace(" ", "-")
        out.mkdir(exist_ok=True)
        work(given.folder / "model", out, methods, given.edits, threads)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(exist_ok=True)
        train(folder / "model", 1)
        words = [sys.executable, __file__, "--edits", str(given.edits), "--methods", given.methods]
        for way, (_, environment) in WAYS.items():
            command = [*words, "--folder", str(folder), "--way", way]
            subprocess.run(command, check=True, env=os.environ | environment)
        places = {way: folder / way.replace(" ", "-") for way in WAYS}
        first, *others = WAYS
        print(f"against {first}\n")
        columns = ("other doses", "by at most", "nats, median", "nats, largest", "other matches")
        print(f"| way | what | {' | '.join(columns)} |")
        print("|---|---|---|---|---|---|---|")
        for way in others:
            for name, row in apart(places[first], places[way], methods).items():
                print(f"| {way} | {name} | {' | '.join(_text(*pair) for pair in row.items())} |")
    print()
    machine.show()


if __name__ == "__main__":
    main()
