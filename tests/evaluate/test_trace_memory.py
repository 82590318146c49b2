"""What is reckoned of the memory of tracing beside what a process took: its peak."""

from dataclasses import replace

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import behemoth as bh
from behemoth import ArgumentError
from behemoth.evaluate.trace import trace
from behemoth.evaluate.trace_memory_budget import TOKENS, fitting_tokens, trace_bytes
from behemoth.recall.generation import generate
from behemoth.support.text import bytes_text

FACTOR = 2.0

# The peak of a process that has loaded what a first pass does, and what was reckoned of it.
PEAK = """
import sys
import behemoth as bh, torch
import behemoth.evaluate, behemoth.edit.apply, behemoth.model.build, behemoth.model.loss
from behemoth.evaluate.trace import trace
from behemoth.evaluate.trace_memory_budget import TOKENS, trace_bytes
from behemoth.train.run import read_run
torch.set_num_threads(1)
run, plan = sys.argv[1:3]
before = peak()
trace(run, plan, device="cpu")
grown = peak() - before
rows = bh.EditPlan.load(plan).training.filter(role="edit").unique("edit")
print(grown, trace_bytes(read_run(run).load_model("cpu"), rows, 10, TOKENS))
"""


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """A run by size of model, and a plan whose facts it knows: what it says is their truth."""
    folder = tmp_path_factory.mktemp("traced")

    def of(size):
        run = folder / size
        if not run.exists():
            corpus = bh.Corpus(bh.World(500, 4, 20), exposures=4)
            config = bh.default_config(size, steps=1, batch_size=4, block_length=64, threads=1,
                tensorboard=False, probe_facts=0, device="cpu", precision="fp32")  # fmt: skip
            bh.train(corpus, out=run, config=config)
            plan = bh.plan(run, edits=4, repeats=1, same_object=0, same_relation=0, regular=0,
                           probes=1)  # fmt: skip
            prompts = plan.training["prompt"].to_list()
            said = generate(bh.load(run).load_model("cpu"), prompts, most=1, stop=())
            answers = pl.Series("old_answer", said, dtype=pl.List(pl.UInt32))
            plan = replace(plan, training=plan.training.with_columns(answers))
            plan.save(f"{run}-plan")
        return run, f"{run}-plan"

    return of


@pytest.mark.slow
@pytest.mark.parametrize("size", ["pico", "nano", "14m"])
def test_a_peak_is_below_what_is_reckoned_and_above_half_of_it(measure, known, size):
    peak, reckoned = measure(PEAK, *known(size))
    assert peak <= reckoned <= FACTOR * peak, f"{peak >> 20} MiB, reckoned {reckoned >> 20}"


@pytest.fixture
def small(known):
    """A model of `pico`'s size, and the rows that are traced."""
    run, plan = known("pico")
    rows = bh.EditPlan.load(plan).training.filter(role="edit").unique("edit")
    return bh.load(run).load_model("cpu"), rows


def test_fewer_tokens_go_through_a_pass_until_it_fits(small):
    model, rows = small
    whole, least = (trace_bytes(model, rows, 10, tokens) for tokens in (TOKENS, 1))
    assert trace_bytes(model, rows, 20, TOKENS) > whole > least
    assert fitting_tokens(model, rows, 10, whole) == TOKENS
    tokens = fitting_tokens(model, rows, 10, (whole + least) // 2)
    assert 1 < tokens < TOKENS
    assert trace_bytes(model, rows, 10, tokens) <= (whole + least) // 2
    with pytest.raises(ArgumentError) as caught:
        fitting_tokens(model, rows, 10, least - 1)
    assert str(caught.value) == (
        f"argument 'run': got a model whose tracing needs about {bytes_text(least)} of memory "
        f"while {bytes_text(least - 1)} is allowed, allowed: what fits: a smaller model, or a "
        "plan of fewer edits"
    )


def test_more_samples_than_fit_are_refused_with_how_many_do(small):
    model, rows = small
    limit = trace_bytes(model, rows, 1000, 1)
    with pytest.raises(ArgumentError) as caught:
        fitting_tokens(model, rows, 50_000, limit)
    most = bytes_text(trace_bytes(model, rows, 50_000, 1))
    assert str(caught.value) == (
        f"argument 'samples': got 50,000, with which tracing needs about {most} of memory while "
        f"{bytes_text(limit)} is allowed, allowed: up to 1,000"
    )
    assert fitting_tokens(model, rows, 1000, limit) >= 1


def test_many_facts_need_their_resamples(small):
    model, rows = small
    assert trace_bytes(model, pl.concat([rows] * 5000), 1, 1) > trace_bytes(model, rows, 1, 1)


def test_less_memory_gives_the_same_effects(known, small):
    run, plan = known("pico")
    least = trace_bytes(*small, 2, 1)
    little = trace(run, plan, samples=2, device="cpu", memory=least)
    much = trace(run, plan, samples=2, device="cpu")
    assert_frame_equal(little.facts, much.facts, rel_tol=1e-3, abs_tol=1e-5)


def test_the_command_refuses_before_it_writes_anything(run, known, tmp_path, monkeypatch):
    place, plan = known("pico")
    out = tmp_path / "t"
    words = ("trace", place, "--plan", plan, "--device", "cpu", "--out", out)
    message = run(*words, "--memory", "60MB").refused(2)
    assert message.startswith("argument 'RUN': got a model whose tracing needs about ")
    assert "to load, allowed: what fits into 1" in run(*words, "--memory", "1kB").refused(2)
    # Without a limit, what is free is the limit.
    monkeypatch.setattr("behemoth.support.memory.available", lambda: 50 << 20)
    assert "of memory while 52.4 MB is free, allowed: what fits" in run(*words).refused(2)
    assert not out.exists()
    with pytest.raises(ArgumentError, match="argument 'memory': got 0, allowed"):
        trace(place, plan, memory=0)
