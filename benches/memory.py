"""Methods with a memory or a trained editor: single edits of a small model in held-out wordings.

    python benches/memory.py OUT [METHOD ...] [--set METHOD.KEY=VALUE ...] [--edits 12] [--half 1]
    python benches/memory.py OUT [METHOD ...] --sequence 100 [--model 31m]

The model, its facts and the columns are those of `places.py`, trained on a third of the tokens by
default: 360 facts of 120 subjects in six wordings, of which two are held out. It prints Markdown,
with the seconds per edit. Settings are chosen on half 0 of the facts and reported for the other.
``--sequence N`` makes N edits one after another on a barely trained model, and prints the processor
seconds per edit, which depend on shapes and on how early a search ends.
"""

import argparse
import time
from pathlib import Path

import polars as pl
import torch

import behemoth as bh
from behemoth.edit.registry import get_method
from behemoth.plan.compile import compile_plan
from behemoth.plan.request import EditRequest
from behemoth.recall.facts import recall
from places import edited, measure, trained
from tune import half_of

METHODS = ("lora", "rome", "ultraedit", "grace", "wise", "mend")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("methods", nargs="*", default=list(METHODS))
    parser.add_argument("--tokens", type=int, default=400_000, help="that the model sees")
    parser.add_argument("--edits", type=int, default=12)
    parser.add_argument("--wordings", type=int, default=3)
    parser.add_argument("--half", type=int, choices=(0, 1), default=1)
    parser.add_argument("--set", action="append", default=[], help="METHOD.KEY=VALUE")
    parser.add_argument("--sequence", type=int, help="edits one after another, for their time")
    parser.add_argument("--model", default="31m", help="of the sequence")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.sequence:
        time_sequences(arguments)
        return
    run = trained(arguments.out / "nano-10", "nano", 10, arguments.tokens, arguments.threads)
    model = run.load_model("cpu")
    asked = recall(model, run.corpus)
    always = asked.group_by("fact").agg(pl.col("exact_match").all()).filter("exact_match")
    print(f"known in all wordings: {always.height} of {run.corpus.world.num_facts} facts\n")
    request = EditRequest(
        edits=arguments.edits, independent=True, wordings=arguments.wordings, seed=1
    )
    known = half_of(always["fact"].to_numpy(), arguments.half)
    plan = compile_plan(run.corpus, request, known=known)
    print("| method | settings | efficacy | held out | same subject | same relation | same object "
          "| KL | seconds |")  # fmt: skip
    print("|---" * 9 + "|")
    for name in arguments.methods:
        mine = [text for text in arguments.set if text.startswith(f"{name}.")]
        own = [text.removeprefix(f"{name}.") for text in mine]
        settings = dict(text.split("=", 1) for text in own)
        method = get_method(name, settings, text=True)
        begin = time.perf_counter()
        found = edited(run, model, plan, method, arguments.out)
        seconds = (time.perf_counter() - begin) / len(plan)
        row = measure(run, model, plan, found) | {"seconds": seconds}
        cells = [f"{value:.2f}" for value in row.values()]
        print("|", " | ".join([name, " ".join(own), *cells]), "|", flush=True)


def time_sequences(arguments: argparse.Namespace) -> None:
    """Print the seconds of an edit of a sequence, by method."""
    place = arguments.out / f"{arguments.model}-sequence"
    run = trained(place, arguments.model, 10, 50_000, arguments.threads)
    few = {"repeats": 1, "same_object": 8, "same_relation": 8, "regular": 8, "probes": 0}
    plan = compile_plan(
        run.corpus, EditRequest(edits=arguments.sequence, independent=True, distinct=False, **few)
    )
    print("| method | edits | seconds of an edit | MB of the delta |\n|---|---|---|---|")
    for name in arguments.methods:
        out = arguments.out / f"sequence-{name}"
        begin = time.process_time()
        bh.edit(
            run.directory, plan, name, out, sequential=True, checkpoint_at=[], device="cpu",
            force=True, cache=arguments.out,
        )  # fmt: skip
        seconds = (time.process_time() - begin) / len(plan)
        size = sum(file.stat().st_size for file in out.rglob("delta.safetensors")) / 2
        print(f"| {name} | {len(plan)} | {seconds:.2f} | {size / 1e6:.1f} |", flush=True)


if __name__ == "__main__":
    main()
