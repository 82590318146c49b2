"""What is reckoned of the memory of an evaluation beside what a process took: its peak."""

import pytest
import torch

import behemoth as bh
from behemoth import ArgumentError
from behemoth.delta.context import Context
from behemoth.delta.delta import EditDelta
from behemoth.evaluate.memory_budget import changes_bytes, fitting, pass_bytes
from behemoth.model.architecture import Architecture

FACTOR = 2.0

PEAK = """
import sys
import behemoth as bh, torch
import behemoth.evaluate, behemoth.edit.apply, behemoth.model.build, behemoth.model.loss
from behemoth.evaluate.memory_budget import changes_bytes, pass_bytes
torch.set_num_threads(1)
edit, run = sys.argv[1:3]
plan = bh.EditPlan.load(run + "-plan")
before = peak()
bh.evaluate(edit, plan, device="cpu")
grown = peak() - before
sizes = [changes_bytes(delta) for delta in bh.load(edit).deltas().values()]
model = bh.load(run).load_model("cpu")
print(grown, pass_bytes(model, plan.probes, sum(sizes), sum(sizes), 512))
"""


@pytest.fixture(scope="module")
def edited(tmp_path_factory):
    """Edits of a run of one step, each single edit of its plan, by size of model and method."""
    folder = tmp_path_factory.mktemp("edits")

    def of(size, method, edits=32):
        run = folder / size
        if not run.exists():
            corpus = bh.Corpus(bh.World(2000, 4, 50), exposures=4)
            config = bh.default_config(size, steps=1, batch_size=16, block_length=64, threads=1,
                tensorboard=False, probe_facts=0, device="cpu", precision="fp32")  # fmt: skip
            bh.train(corpus, out=run, config=config)
            bh.plan(run, edits=edits, independent=True, out=f"{run}-plan")
        out = folder / f"{size}-{method}"
        if not out.exists():
            bh.edit(run, f"{run}-plan", method, out, settings={"steps": 1}, single=True,
                    device="cpu")  # fmt: skip
        return run, out

    return of


@pytest.mark.slow
@pytest.mark.parametrize("size", ["pico", "nano", "14m"])
@pytest.mark.parametrize("method", ["lora", "ft"])
def test_a_peak_is_below_what_is_reckoned_and_above_half_of_it(measure, edited, size, method):
    run, out = edited(size, method)
    peak, reckoned = measure(PEAK, out, run)
    assert peak <= reckoned <= FACTOR * peak, f"{peak >> 20} MiB, reckoned {reckoned >> 20}"


def test_so_many_rows_and_edits_as_fit_go_through_a_pass(edited):
    run, out = edited("pico", "ft")
    model, deltas = bh.load(run).load_model("cpu"), bh.load(out).deltas()
    probes = bh.EditPlan.load(f"{run}-plan").probes
    one = changes_bytes(deltas[min(deltas)])

    def takes(edits, rows):
        return pass_bytes(model, probes, edits * one, len(deltas) * one, rows)

    assert fitting(model, probes, deltas, 64, None, takes(32, 512)) == (64, 512)
    assert fitting(model, probes, deltas, 64, None, takes(32, 512) - 1) == (16, 512)
    assert fitting(model, probes, deltas, 64, None, takes(1, 128)) == (1, 128)
    assert fitting(model, probes, deltas, 64, 100, takes(1, 100)) == (1, 100)
    with pytest.raises(ArgumentError, match=r"argument 'batch_size': got 512, .* up to 64$"):
        fitting(model, probes, deltas, 64, 512, takes(1, 64))
    with pytest.raises(ArgumentError, match=r"argument 'source': got a model and its edits that"):
        fitting(model, probes, deltas, 64, None, takes(1, 1) - 1)


def test_rows_are_reckoned_with_the_context_that_they_read(edited):
    run, _ = edited("pico", "ft")
    model, probes = bh.load(run).load_model("cpu"), bh.EditPlan.load(f"{run}-plan").probes
    where = Architecture.of(model).stream
    contexts = {edit: Context(torch.zeros(edit, dtype=torch.int64)) for edit in (10, 300)}
    deltas = {edit: EditDelta({where: own}, "ike", {}, "", 0) for edit, own in contexts.items()}

    def takes(edits, rows, context):
        return pass_bytes(model, probes, edits * 8 * 300, 8 * 310, rows, context)

    assert takes(2, 64, 300) > takes(2, 64, 0) + 64 * 300 * 4 * model.config.hidden_size
    assert fitting(model, probes, deltas, 64, None, takes(2, 64, 300)) == (64, 64)


def test_less_memory_gives_the_same_rows(edited):
    run, out = edited("pico", "lora")
    plan = bh.EditPlan.load(f"{run}-plan")
    model = bh.load(run).load_model("cpu")
    little = bh.evaluate(out, plan, device="cpu", memory=pass_bytes(model, plan.probes, 0, 0, 96))
    much = bh.evaluate(out, plan, device="cpu")
    numbers = ["log_probability_old", "kl"]
    for name in numbers:
        assert little[name].to_numpy() == pytest.approx(much[name].to_numpy(), abs=1e-5)
    assert little.select("edit", "stage", "probe").equals(much.select("edit", "stage", "probe"))


def test_the_command_refuses_before_it_asks_anything(run, edited, tmp_path):
    place, out = edited("pico", "lora")
    frame = tmp_path / "frame.parquet"
    words = ("evaluate", out, "--plan", f"{place}-plan", "--device", "cpu", "--out", frame)
    assert "to load, allowed: what fits into 1" in run(*words, "--memory", "1MB").refused(2)
    message = run(*words, "--memory", "60MB").refused(2)
    assert "that need about" in message and "60.0 MB is allowed" in message
    assert not frame.exists()
