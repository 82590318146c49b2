"""What is reckoned of the memory of a tuning beside what a process took: its peak."""

from dataclasses import replace

import pytest

import behemoth as bh
from behemoth import ArgumentError
from behemoth.edit.registry import get_method
from behemoth.train.memory_budget import step_bytes
from behemoth.tune import tune
from behemoth.tune.asked import Asked, searched_by
from behemoth.tune.memory_budget import TuneBudget, fitting_rows, require_twin
from behemoth.tune.record import TuningDirectory

pytest.importorskip("optuna", reason="the extra tune is not installed")

FACTOR = 2.0

# The peak of a process that has loaded what every edit does, and what was reckoned of it. A twin is
# there before, as its training has a test of its own.
PEAK = """
import sys
import behemoth as bh, torch
import behemoth.edit.apply, behemoth.edit.gradient.optimise, behemoth.model.build
import behemoth.model.loss, behemoth.tune.choose, optuna
from behemoth.edit.registry import get_method
from behemoth.evaluate.membership import MEMBERSHIP_ROWS
from behemoth.tune.asked import searched_by
from behemoth.tune.memory_budget import TuneBudget
torch.set_num_threads(1)
name, run, out, twin = sys.argv[1:5]
before = peak()
bh.tune(name, run, out, trials=2, rows=64, twin=twin or None, device="cpu")
grown = peak() - before
method, plan = get_method(name), bh.EditPlan.load(out + "/plan")
objective = "unlearning" if twin else "editing"
own = TuneBudget.of(bh.load(run), plan, method, searched_by(method), objective)
print(grown, max(own.edits_bytes(), own.score_bytes(MEMBERSHIP_ROWS)))
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs of one step, by size of model."""
    folder = tmp_path_factory.mktemp("tuned")

    def of(size):
        run = folder / size
        if not run.exists():
            corpus = bh.Corpus(bh.World(500, 4, 20), exposures=bh.Groups([0, 4, 8]))
            config = bh.default_config(size, steps=1, batch_size=4, block_length=64, threads=1,
                tensorboard=False, probe_facts=0, device="cpu", precision="fp32")  # fmt: skip
            bh.train(corpus, out=run, config=config)
        return run

    return of


@pytest.mark.slow
@pytest.mark.parametrize("size", ["pico", "nano", "14m"])
@pytest.mark.parametrize("method", ["ft", "lora", "rome", "npo"])
def test_a_peak_is_below_what_is_reckoned_and_above_half_of_it(
    measure, runs, tmp_path, size, method
):
    run, twin = runs(size), ""
    if method == "npo":
        tune("npo", run, tmp_path / "first", trials=1, rows=16, device="cpu")
        twin = tmp_path / "first" / "twin"
    peak, reckoned = measure(PEAK, method, run, tmp_path / "t", twin)
    assert peak <= reckoned <= FACTOR * peak, f"{peak >> 20} MiB, reckoned {reckoned >> 20}"


def test_a_twin_is_reckoned_with_rows_of_documents(small):
    """Otherwise its training would be refused later."""
    grammar = bh.Grammar.named("bios-en")
    text = bh.Corpus(grammar.world(100, seed=1), grammar=grammar, exposures=4)
    config = bh.default_config("llama-nano", batch_size=32, block_length=512, device="cpu")
    needed = step_bytes(config, text.vocabulary_size, 32 * 512)
    unmasked = replace(config, document_mask=False)
    assert needed > step_bytes(unmasked, text.vocabulary_size, 32 * 512)
    require_twin(small.run, config, text, needed)
    with pytest.raises(ArgumentError, match="twin is trained with batch_size 32, which needs"):
        require_twin(small.run, config, text, needed - 1)


@pytest.fixture(scope="module")
def small(runs):
    """What the memory of a tuning of `lora` on a run of `pico`'s size depends on."""
    run = bh.load(runs("pico"))
    method = get_method("lora")
    plan = bh.plan(run, edits=4, repeats=2, probes=1)
    return TuneBudget.of(run, plan, method, searched_by(method), "editing")


def test_the_largest_settings_count(small):
    assert "rank" in small.searched and small._largest.rank == small.searched["rank"].high
    one = replace(small, searched={})
    assert one._largest == small.method
    assert small.edits_bytes() > one.edits_bytes()


def test_more_of_anything_takes_more(small):
    assert replace(small, twin=True).edits_bytes() > small.edits_bytes()
    assert replace(small, twin=True).score_bytes(1) > small.score_bytes(1)
    assert small.score_bytes(1) < small.score_bytes(64)
    assert replace(small, objective="editing-locality").score_bytes(8) == small.score_bytes(8)


def asked(small, memory):
    return fitting_rows(
        small.run, small.plan, small.method, small.searched, small.objective, "cpu", memory
    )


def test_fewer_rows_go_through_a_pass_until_it_fits(small):
    most, least = small.score_bytes(2048), max(small.edits_bytes(), small.score_bytes(1))
    assert asked(small, most) is None
    rows = asked(small, (most + least) // 2)
    assert 1 <= rows < 2048 and small.score_bytes(rows) <= (most + least) // 2


def test_what_does_not_fit_is_refused(small):
    with pytest.raises(ArgumentError) as caught:
        asked(small, small.edits_bytes() - 1)
    assert str(caught.value).startswith(
        "argument 'method': got lora, whose search needs up to about "
    )
    score = small.score_bytes(1)
    assert score > small.edits_bytes()
    with pytest.raises(ArgumentError, match=r"argument 'on': got .*pico, whose score needs about "):
        asked(small, score - 1)


def test_a_twin_is_found_to_fit_before_it_is_trained(small):
    run = small.run
    require_twin(run, run.config, run.corpus, 1 << 30)
    with pytest.raises(ArgumentError) as caught:
        require_twin(run, run.config, run.corpus, 50 << 20)
    message = str(caught.value)
    assert message.startswith(f"argument 'on': got {run.directory}, whose twin is trained with ")
    assert message.endswith(
        "allowed: what fits: a twin that is trained already (twin), or a smaller model"
    )


def test_a_twin_is_reckoned_on_the_device_that_is_asked_for(small, tmp_path):
    """Not on that of the run, which may have been trained on a machine with a GPU."""
    own = small.run
    record = replace(own.record, device="cuda:0", config=replace(own.config, device="cuda"))
    run, method = replace(own, record=record), get_method("npo")
    asked = Asked("npo", method, {}, "unlearning", run, small.plan, None, 16, 0)
    with pytest.raises(ArgumentError, match=r"whose twin is trained with model pico, which with "):
        asked.fitting(TuningDirectory(tmp_path), "cpu", 50 << 20)


def test_less_memory_gives_the_same_scores(runs, small, tmp_path):
    few = {"trials": 1, "edits": 4, "rows": 16, "device": "cpu"}
    memory = max(small.edits_bytes(), small.score_bytes(8))
    little = tune("lora", runs("pico"), tmp_path / "little", **few, memory=memory)
    much = tune("lora", runs("pico"), tmp_path / "much", **few)
    assert little.legs == pytest.approx(much.legs, abs=1e-6)


def test_the_command_refuses_before_it_writes_anything(run, runs, tmp_path, monkeypatch, never):
    place = runs("pico")
    out = tmp_path / "t"
    words = ("--on", place, "--device", "cpu", "--edits", 2, "--out", out)
    monkeypatch.setattr("behemoth.tune.choose.train", never)
    message = run("tune", "lora", *words, "--memory", "60MB").refused(2)
    assert message.startswith("argument 'METHOD': got lora, whose search needs up to about ")
    message = run("tune", "npo", *words, "--memory", "60MB").refused(2)
    assert message.startswith(f"argument '--on': got {place}, whose twin is trained with ")
    # Without a limit, what is free is the limit.
    monkeypatch.setattr("behemoth.support.memory.available", lambda: 50 << 20)
    assert "of memory while 52.4 MB is free, allowed: what fits" in run(
        "tune", "lora", *words
    ).refused(2)
    assert not out.exists()
    with pytest.raises(ArgumentError, match="argument 'memory': got 0, allowed"):
        tune("lora", place, out, memory=0)


def test_a_finished_tuning_needs_no_memory(runs, tmp_path):
    few = {"trials": 1, "edits": 2, "rows": 16, "device": "cpu"}
    done = tune("ft", runs("pico"), tmp_path / "t", **few)
    again = tune("ft", runs("pico"), tmp_path / "t", **few, memory=1)
    assert (again.carried_out, again.score) == (0, done.score)
