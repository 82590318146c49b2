"""Defaults tested on models of each family: recall, and single edits by a few methods.

    python benches/families.py OUT [--size nano] [--tokens 300000] [--edits 16]

Each family's model is trained on 180 facts of 60 subjects in three wordings, one of them held out,
and 16 facts that it knows are edited one by one with the defaults of each method, which were chosen
for GPT-NeoX. OUT keeps the models between calls. It prints Markdown: recall, and for the edits the
exact matches of the new object in wordings of the plan and in the held-out one, and of the old
object for known facts that should stay.
"""

import argparse
from pathlib import Path

import polars as pl
import torch

import machine
from behemoth import Corpus, World
from behemoth.edit.protocol import EditContext
from behemoth.edit.registry import get_method
from behemoth.evaluate.frame import evaluate_model
from behemoth.model.architectures import FAMILIES
from behemoth.model.sizes import SIZES
from behemoth.plan.compile import compile_plan
from behemoth.plan.request import EditRequest
from behemoth.recall.facts import recall
from behemoth.train import default_config, train
from behemoth.train.run import Run, read_run

METHODS = ("lora", "rome", "memit", "ultraedit")


def trained(place: Path, size: str, tokens: int) -> Run:
    """The run of a size, trained at the first call."""
    world = World(subjects=60, relations=3, objects=12, seed=3)
    corpus = Corpus(world, exposures=40, paraphrases=3, held_out=1)
    config = default_config(size, tokens=tokens, batch_size=16, threads=1, tensorboard=False,
                            block_length=64, device="cpu")  # fmt: skip
    train(corpus, out=place / size, config=config)
    return read_run(place / size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", default="nano", choices=("nano", "micro"))
    parser.add_argument("--tokens", type=int, default=300_000, help="that each model sees")
    parser.add_argument("--edits", type=int, default=16)
    parser.add_argument("--family", action="append", choices=tuple(FAMILIES))
    machine.note_option(parser)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    figures: dict[str, float] = {}
    print("| model | recall | method | efficacy | held out | kept |")
    print("|---" * 6 + "|")
    for size in SIZES.values():
        wanted = size.name == arguments.size or size.name.endswith(f"-{arguments.size}")
        if not wanted or size.family not in (arguments.family or FAMILIES):
            continue
        run = trained(arguments.out, size.name, arguments.tokens)
        model = run.load_model("cpu")
        asked = recall(model, run.corpus).filter(~pl.col("held_out"))
        share = float(asked.select(pl.col("exact_match").mean()).item())
        known = asked.group_by("fact").agg(pl.col("exact_match").all()).filter("exact_match")
        if known.height < arguments.edits:
            print(f"| {size.name} | {share:.2f} | none | | | |", flush=True)
            continue
        request = EditRequest(edits=arguments.edits, independent=True, wordings=2, seed=1)
        plan = compile_plan(run.corpus, request, known=known["fact"].to_numpy())
        numbers = plan.edits["edit"].to_list()
        for name in METHODS:
            context = EditContext(run.corpus, run=run.directory)
            made = get_method(name).apply(model, list(plan.singles()), context)
            deltas = {int(edit): delta for edit, delta in zip(numbers, made, strict=True)}
            frame = evaluate_model(model, run.corpus, plan, deltas).filter(stage="after")
            stays = ~pl.col("must_change") & pl.col("known")
            found = {
                "efficacy": frame.filter(group="edited")["exact_match"].mean(),
                "held out": frame.filter(group="edited_held_out")["exact_match"].mean(),
                "kept": frame.filter(stays)["old_match"].mean(),
            }
            cells = " | ".join(f"{value:.2f}" for value in found.values())
            print(f"| {size.name} | {share:.2f} | {name} | {cells} |", flush=True)
            figures |= {f"{size.name} {name} {key}": value for key, value in found.items()}
    machine.record("families", figures, arguments.note)


if __name__ == "__main__":
    main()
