"""What is reckoned of the memory of a suite beside what a process took: its peak."""

from dataclasses import replace

import pytest

import behemoth as bh
from behemoth import ArgumentError
from behemoth.evaluate import SUITES
from behemoth.evaluate.memory_budget import changes_bytes
from behemoth.evaluate.suites.measured_model import MeasuredModel
from behemoth.evaluate.suites.memory_budget import SuiteBudget, limit_rows
from behemoth.evaluate.suites.suite import take

FACTOR = 2.0

PEAK = """
import sys
import behemoth as bh, torch
import behemoth.evaluate, behemoth.edit.apply, behemoth.model.build, behemoth.model.loss
torch.set_num_threads(1)
edit, suite, plan, twin = sys.argv[1:5]
before = peak()
bh.evaluate_suite(edit, suite, plan or None, twin=twin or None, device="cpu")
print(peak() - before)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run, a plan, and edits of it by size of model: unlearnt, one by one, and in sequence."""
    folder = tmp_path_factory.mktemp("suites")

    def of(size):
        run = folder / size
        if not run.exists():
            corpus = bh.Corpus(bh.World(500, 4, 20), exposures=bh.Groups([0, 4, 8]),
                filler="zipf:tokens=20000,words=300", order="bios")  # fmt: skip
            config = bh.default_config(size, steps=1, batch_size=4, block_length=64, threads=1,
                tensorboard=False, probe_facts=0, device="cpu", precision="fp32")  # fmt: skip
            bh.train(corpus, out=run, config=config)
            plan = bh.plan(run, kind="refusal", edits=32, distinct=False, out=f"{run}-plan")
            bh.train(corpus.without(plan.edits["fact"]), out=f"{run}-twin", config=config)
            bh.plan(run, edits=16, out=f"{run}-new")
            settings = {"steps": 1}
            bh.edit(run, f"{run}-plan", "npo", f"{run}-unlearnt", settings=settings, device="cpu")
            bh.edit(run, f"{run}-new", "ft", f"{run}-edited", settings=settings, device="cpu")
            bh.edit(run, f"{run}-new", "ft", f"{run}-sequence", settings=settings, device="cpu",
                    sequential=True, checkpoint_at=[4])  # fmt: skip
        return run

    return of


CASES = {
    "editing": ("edited", "new", ""),
    "unlearning": ("unlearnt", "plan", "twin"),
    "sequence": ("sequence", "new", ""),
    "recall": ("edited", "", ""),
}


def reckoned_of(run, suite):
    """What is reckoned of a suite, as `evaluate_suite` does, and the measured model."""
    edit, plan, twin = (f"{run}-{name}" if name else None for name in CASES[suite])
    measured = MeasuredModel.open(edit, plan, twin, device="cpu")
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        own = SuiteBudget.bytes_of
        patch.setattr(SuiteBudget, "bytes_of", lambda *at: seen.append(own(*at)) or seen[-1])
        limit_rows(measured, suite, None, 1 << 40)
    return seen[0], measured


@pytest.mark.slow
@pytest.mark.parametrize("size", ["pico", "nano", "14m"])
@pytest.mark.parametrize("suite", list(CASES))
def test_a_peak_is_below_what_is_reckoned_and_above_half_of_it(measure, made, size, suite):
    run = made(size)
    reckoned, _ = reckoned_of(run, suite)
    edit, plan, twin = (f"{run}-{name}" if name else "" for name in CASES[suite])
    [peak] = measure(PEAK, edit, suite, plan, twin)
    assert peak <= reckoned <= FACTOR * peak, f"{peak >> 20} MiB, reckoned {reckoned >> 20}"


def test_fewer_rows_go_through_a_pass_until_it_fits(made):
    run = made("pico")
    whole, measured = reckoned_of(run, "sequence")
    assert measured.batch_size is None
    limit_rows(measured, "sequence", None, whole - (1 << 20))
    assert measured.batch_size <= 512
    before = measured.batch_size
    with pytest.raises(ArgumentError, match=r"argument 'source': got a model whose suite sequence"):
        limit_rows(measured, "sequence", None, 90 << 20)
    assert measured.batch_size == before


def test_what_a_suite_keeps_counts(made):
    run = made("pico")
    _, measured = reckoned_of(run, "unlearning")
    suite = SuiteBudget(
        "unlearning", measured.model, measured.run.corpus, measured.plan, 0, twin=False
    )
    assert replace(suite, twin=True).bytes_of(1, 0) > suite.bytes_of(1, 0)
    assert replace(suite, changes=1 << 20).bytes_of(1, 0) == suite.bytes_of(1, 0) + (1 << 20)
    assert suite.bytes_of(1, 0) <= suite.bytes_of(2048, 0)
    # A context, which each row of each pass reads. Running text has as many tokens in a pass.
    context = replace(suite, context=1000)
    more = [b - a for a, b in zip(suite._parts(512, 0), context._parts(512, 0), strict=True)]
    token = 1000 * 4 * measured.model.config.hidden_size
    passes, text, *others = (grown // token for grown in more)
    assert passes >= min(512, measured.plan.probes.height) and text == 0 and min(others) >= 32


def test_only_what_chosen_measures_need_counts(made):
    run = made("pico")
    _, measured = reckoned_of(run, "unlearning")
    changes = sum(map(changes_bytes, measured.deltas.values()))
    suite = SuiteBudget(
        "unlearning", measured.model, measured.run.corpus, measured.plan, changes, twin=True
    )
    names = [measure.name for measure in SUITES["unlearning"].measures(measured)]
    frame, *parts = suite._parts(512, 0)

    def counted(*chosen):
        [first, *more] = replace(suite, measures=chosen)._parts(512, 0)
        assert first == frame
        return more

    assert counted("forget_recall", "model_utility") == []
    text, trained, changed, membership, states = parts
    assert counted(*names) == parts
    assert counted("perplexity_filler") == counted("kl_twin_text") == [text]
    assert counted("continued_steps") == counted("relearning_steps") == [trained]
    assert counted("recall_4_bit", "forget_recall_hint") == counted("recall_pruned_30") == [changed]
    assert counted("exact_memorisation") == [changed]
    assert counted("privacy_loss", "membership_reference") == [membership]
    assert counted("linear_probe_control") == counted("kl_twin_retain") == [states]
    too_few = suite.bytes_of(1, changes) - 1
    with pytest.raises(ArgumentError, match=r"a smaller model, or fewer measures \(measures\)$"):
        limit_rows(measured, "unlearning", None, too_few)
    limit_rows(measured, "unlearning", None, too_few, ["forget_recall"])


def same_measures(little, much):
    for own, other in zip(little.measures, much.measures, strict=True):
        assert (own.found is None) == (other.found is None)
        if own.found is not None:
            assert own.found.value == pytest.approx(
                other.found.value, rel=1e-3, abs=1e-5, nan_ok=True
            ), own.name


def test_less_memory_gives_the_same_measures(made):
    run = made("pico")
    memory = reckoned_of(run, "sequence")[0] - (1 << 20)
    edit, plan = f"{run}-sequence", f"{run}-new"
    little = bh.evaluate_suite(edit, "sequence", plan, device="cpu", memory=memory)
    same_measures(little, bh.evaluate_suite(edit, "sequence", plan, device="cpu"))


@pytest.mark.slow
def test_fewer_rows_give_the_same_measures_of_unlearning(made):
    run = made("pico")
    edit, plan, twin = (f"{run}-{name}" for name in CASES["unlearning"])
    few, many = (MeasuredModel.open(edit, plan, twin, device="cpu") for _ in range(2))
    few.batch_size = few.twin.batch_size = 7
    same_measures(take(SUITES["unlearning"], few), take(SUITES["unlearning"], many))


def test_the_command_refuses_before_it_writes_anything(run, made, tmp_path):
    place = made("pico")
    out = tmp_path / "suite"
    words = ("evaluate", f"{place}-edited", "--plan", f"{place}-new", "--suite", "editing",
             "--device", "cpu", "--out", out)  # fmt: skip
    assert "to load, allowed: what fits into 1" in run(*words, "--memory", "1MB").refused(2)
    message = run(*words, "--memory", "60MB").refused(2)
    assert "got a model whose suite editing needs about" in message
    assert message.endswith("allowed: what fits: a smaller model, or fewer measures (measures)")
    assert not out.exists()
    with pytest.raises(ArgumentError, match="argument 'memory': got 0, allowed"):
        bh.evaluate_suite(f"{place}-edited", "editing", f"{place}-new", memory=0)
