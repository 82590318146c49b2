"""A plan whose facts a model knows, for a model that knows none: the truth is what it says."""

from dataclasses import replace

import polars as pl

from behemoth.plan.edit_plan import EditPlan
from behemoth.recall.generation import generate
from behemoth.train.run import read_run


def known_plan(run, plan, out):
    """Write a plan with what the run says for the old answers; return where."""
    made, model = EditPlan.of(plan), read_run(run).load_model("cpu")
    said = generate(model, made.training["prompt"].to_list(), most=2, stop=())
    answers = pl.Series("old_answer", said, dtype=pl.List(pl.UInt32))
    replace(made, training=made.training.with_columns(answers)).save(out)
    return out
