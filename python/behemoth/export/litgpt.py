"""Plans as JSON lines of instruction, input and output, for fine-tuning with LitGPT."""

from __future__ import annotations

import json
from os import PathLike
from pathlib import Path

import polars as pl

from behemoth.corpus.corpus import Corpus
from behemoth.plan.edit_plan import EditPlan
from behemoth.support.files import replacing

_FILES = ("train", "val", "test")


def export_litgpt(plan: EditPlan, corpus: Corpus, directory: str | PathLike[str]) -> list[Path]:
    """Write a plan's mixture and probes as three files of JSON lines.

    ``train.jsonl`` has each row of the mixture as often as its weight says; that of independent
    edits as one batch (`EditPlan.as_batch`). The probes go to ``val.jsonl`` and ``test.jsonl``, by
    fact, so that no fact stands in both, and none but the edited ones in training as well: probes
    of facts that other independent edits train on, change or put in doubt are omitted.

    Parameters
    ----------
    plan : EditPlan
    corpus : Corpus
    directory : path

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    ArgumentError
        If the plan was made for another corpus.
    """
    plan.check(corpus)
    columns = ("prompt", "answer")
    batch = plan.as_batch(corpus)
    training = batch.training
    kept = training.filter(pl.col("role") != "edit")["fact"].implode()
    probes = batch.probes.filter(~pl.col("fact").is_in(kept))
    facts = probes["fact"].rank("dense")
    frames = (
        training.select(*columns, "weight"),
        probes.filter(facts % 2 == 1).select(*columns, weight=pl.lit(1, pl.UInt32)),
        probes.filter(facts % 2 == 0).select(*columns, weight=pl.lit(1, pl.UInt32)),
    )
    paths = []
    for name, frame in zip(_FILES, frames, strict=True):
        path = Path(directory) / f"{name}.jsonl"
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
            for prompt, answer, weight in frame.iter_rows():
                row = {
                    "instruction": corpus.decode(prompt),
                    "input": "",
                    "output": corpus.decode(answer),
                }
                file.write((json.dumps(row, ensure_ascii=False) + "\n") * weight)
        paths.append(path)
    return paths
