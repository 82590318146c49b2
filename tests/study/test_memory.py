"""What is reckoned of the memory of a worker: its peak, and what is refused and made smaller."""

import json
import subprocess
import sys
from dataclasses import replace

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from behemoth import ArgumentError, default_config
from behemoth.edit.memory_budget import edit_bytes
from behemoth.edit.protocol import answers
from behemoth.evaluate.unedited import KEPT
from behemoth.model.build import build_model
from behemoth.model.memory import weight_bytes
from behemoth.model.sizes import SIZES
from behemoth.study.directory import StudyDirectory
from behemoth.study.file.spec import Study, read_study
from behemoth.study.trial.laboratory import Laboratory
from behemoth.study.work.estimate import estimate
from behemoth.study.work.memory_budget import (
    _budget,
    _compiled,
    _needs,
    _shape,
    shares_of,
)
from behemoth.study.work.run import run_study
from behemoth.study.work.schedule import Work
from behemoth.support.text import bytes_text
from behemoth.support.workers import WORKER
from behemoth.train.memory_budget import step_bytes

FACTOR = 2.0

# A worker, without the lines that it exchanges. The peak is that of its own memory (`ru_maxrss`
# would begin with that of the process that started it), without the pages of the libraries' files.
PEAK = """
import json, re, sys
from pathlib import Path
from behemoth.support.process import prepare
prepare()
from behemoth.study.work.engine import perform
from behemoth.support.progress import silent
laboratories = {}
for line in sys.stdin:
    done = perform(sys.argv[1], json.loads(line), silent, laboratories, int(sys.argv[2]))
    assert done.status == "done", done.reason
    status = Path("/proc/self/status").read_text()
    peak, files = (re.search(rf"{name}:\\s+(\\d+)", status)[1] for name in ("VmHWM", "RssFile"))
    print(1024 * (int(peak) - int(files)), flush=True)
"""


def peak_of(study, place, memory=1 << 40):
    """The peak of a worker that carries out all units of a study."""
    expansion = study.expand(1)
    units = [*expansion.models.values(), *expansion.trials]
    lines = "".join(json.dumps(unit.to_dict()) + "\n" for unit in units)
    words = [sys.executable, "-c", PEAK, str(place), str(memory)]
    done = subprocess.run(words, input=lines, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peaks are in other units")
@pytest.mark.parametrize(
    ("preset", "methods", "changes"),
    [
        ("frequency", None, {}),
        ("leaderboard", ["npo", "lora"], {}),
        ("leaderboard", ["npo", "ft"], {'model = "pico"': 'model = "nano"'}),
    ],
)
def test_a_peak_is_below_what_is_reckoned_and_above_half_of_it(preset, methods, changes, tmp_path):
    study = read_study(preset, "smoke", methods)
    text = study.text
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    study = Study.parse(text)
    reckoned = estimate(study, workers=1).memory
    peak = peak_of(study, tmp_path / "study")
    assert peak <= reckoned <= FACTOR * peak, f"{peak >> 20} MiB, reckoned {reckoned >> 20}"


@pytest.fixture
def work(tiny, tmp_path):
    """The units of the tiny study, of which none is done."""
    return Work(StudyDirectory(tmp_path / "s"), Study.parse(tiny).expand(), None)


def test_kinds_are_reckoned_once(work):
    needs = list(_needs(work))
    # Two models of one kind; each of four methods on two of them.
    assert len(needs) == 1 + 4
    assert [need.unit for need in needs][:2] == ["training nano", "LoRA, rank 1 on nano"]
    for need in needs:
        assert WORKER < need.least <= need.most


def test_a_plan_of_swapped_facts_is_reckoned_by_itself(tiny):
    """It has fewer edits than the plan whose request it shares, whichever of them comes first."""
    own, twin, both = (
        {(need.unit, need.least, need.most) for need in _needs(Work(None, expansion, None))}
        for expansion in (
            Study.parse(many(tiny).replace('rotation" = [0, 1]', f'swap" = {swaps}')).expand()
            for swaps in ("[0]", "[2]", "[2, 0]")
        )
    )
    assert own - twin and both == own | twin


def test_workers_share_what_there_is(work):
    needs = list(_needs(work))
    least, most = max(need.least for need in needs), max(need.most for need in needs)
    assert shares_of(work, 2, 2 * most, given=2).unit_bytes == most - WORKER
    assert shares_of(work, 2, 2 * most, given=2).worker_peak == most
    assert shares_of(work, 2, 3 * least, given=2).worker_peak == min(most, 3 * least // 2)
    # Fewer workers by default; a number that was asked for is refused.
    assert shares_of(work, 8, 3 * least).workers == 3
    with pytest.raises(ArgumentError) as caught:
        shares_of(work, 8, 3 * least, given=9)
    assert str(caught.value).startswith("argument 'workers': got 9, each of which needs about ")
    assert str(caught.value).endswith(f"while {bytes_text(3 * least)} is allowed, allowed: up to 3")


def test_what_does_not_fit_is_refused_with_what_would(tiny, tmp_path):
    out = tmp_path / "s"
    work = Work(StudyDirectory(out), Study.parse(tiny).expand(), None)
    needs = {need.unit: need for need in _needs(work)}
    largest = max(needs.values(), key=lambda need: need.least)
    with pytest.raises(ArgumentError) as caught:
        run_study(Study.parse(tiny), out, memory=largest.least - 1)
    needed, allowed = bytes_text(largest.least), bytes_text(largest.least - 1)
    assert f"needs about {needed} of memory in a worker while {allowed} is allowed" in str(
        caught.value
    )
    assert not out.exists()
    # What is suggested fits.
    error = needs["LoRA, rank 4 on nano"].refusal(needs["LoRA, rank 1 on nano"].least, "there is")
    assert error.path == ("method",) and error.allowed == "with rank = 1, which fits"
    with pytest.raises(ArgumentError, match="argument 'memory': got 5, allowed: only with the loc"):
        run_study(Study.parse(tiny), out, engine="ray", memory=5)
    with pytest.raises(ArgumentError, match="argument 'memory': got 0, allowed"):
        run_study(Study.parse(tiny), out, memory=0)


def test_a_batch_that_does_not_fit_is_told_if_fewer_edits_do(tiny):
    text = many(tiny).replace('name = "ft"', 'name = "grace"')  # no setting of it takes less
    work = Work(None, Study.parse(text).expand(), None)
    [need] = [need for need in _needs(work) if need.unit == "batch on nano"]
    _, budget = budget_of(Study.parse(text).expand(), "batch")
    one = WORKER + replace(budget, plan=budget.plan.single(0)).least()
    assert one < need.least
    assert need.refusal(one, "there is").allowed == (
        "what fits: a smaller model, or a plan of fewer edits"
    )
    said = need.refusal(one - 1, "there is")
    assert said.allowed == "what fits: a smaller model"  # and not another method
    assert str(said).startswith("argument 'train.model': got nano, on which batch needs about ")


def test_independent_edits_that_do_not_fit_together_are_told_if_fewer_do(tiny):
    """Each fits by itself, but `durability` makes all of them as one batch."""
    text = tiny.replace("subjects = 20", "subjects = 320").replace("edits = 2\n", "edits = 64\n")
    text = text.replace('"grad_ascent"', '"mend"').replace("steps = 2 ", "facts = 8 ", 1)
    text = text.replace("[grid]", "[measure]\ndurability = 3\n[grid]")
    expansion = Study.parse(text).expand()
    [need] = [need for need in _needs(Work(None, expansion, None)) if need.unit == "ascent on nano"]
    _, budget = budget_of(expansion, "ascent")
    assert len(budget.plan) == 128
    one = WORKER + replace(budget, plan=budget.plan.single(0), singles=budget.singles[:1]).least()
    assert one < need.least
    assert need.refusal(one, "there is").allowed == (
        "what fits: a smaller model, or a plan of fewer edits"
    )
    assert need.refusal(one - 1, "there is").allowed == "what fits: a smaller model"


def test_settings_that_are_not_for_a_model_fail_one_trial_and_not_the_study(tiny):
    text = tiny + '\n[[method]]\nname = "wise"\nsettings = { layer = 9 }\n'
    known = Work(StudyDirectory("s"), Study.parse(tiny).expand(), None)
    work = Work(StudyDirectory("s"), Study.parse(text).expand(), None)
    assert len(work.trials) > len(known.trials)
    assert [need.unit for need in _needs(work)] == [need.unit for need in _needs(known)]


def test_a_batch_that_does_not_fit_names_one_that_does(tiny, tmp_path):
    text = tiny.replace("batch_size = 4", "batch_size = 512")
    with pytest.raises(ArgumentError, match=r"argument 'train.batch_size': got 512 of nano, ") as e:
        run_study(Study.parse(text), tmp_path / "s", memory=WORKER + (700 << 20))
    accumulate = e.value.allowed.partition("accumulate = ")[2].split()[0]
    text = text.replace("batch_size = 512", f"batch_size = 512\naccumulate = {accumulate}")
    assert estimate(Study.parse(text), memory=WORKER + (700 << 20), workers=1).workers == 1


def budget_of(expansion, label):
    """A trial of a method, and what its memory depends on."""
    work = Work(None, expansion, None)
    unit = next(trial for trial in expansion.trials if trial.choice.label == label)
    model = expansion.models[unit.model]
    corpus = work.costs.corpus(model)
    shape, plan = _shape(model.config, corpus), _compiled(unit, corpus)
    return unit, _budget(unit, model.config, corpus, plan, shape, twin=False)


def test_less_memory_gives_the_same_frames(finished, tiny, tmp_path):
    """Fewer edits at a time, and fewer rows: what differs is rounding."""
    text = tiny.replace("[grid]", "[measure]\ndurability = 3\n[grid]")
    unit, budget = budget_of(Study.parse(text).expand(), "ascent")
    assert budget.fitting(budget.most()) == (4, None)
    memory = budget.bytes_of(1, 32)
    stack, rows = budget.fitting(memory)
    assert stack < 4 or rows is not None
    directory = StudyDirectory(tmp_path)
    (tmp_path / "models").symlink_to(finished[0] / "models")
    Laboratory(directory, memory).carry_out(unit)
    for name, keys in (("edits", ["edit"]), ("probes", ["edit", "probe", "stage"])):
        own = pl.read_parquet(directory.trial(unit.id) / f"{name}.parquet").sort(keys)
        other = pl.read_parquet(finished[0] / "trials" / unit.id / f"{name}.parquet").sort(keys)
        assert_frame_equal(own, other, rel_tol=1e-3, abs_tol=1e-4)


def many(tiny):
    """The study with plans of 32 edits."""
    return tiny.replace("subjects = 20", "subjects = 80").replace("edits = 2\n", "edits = 16\n")


def test_a_suite_keeps_the_edits_before_while_the_next_are_made(tiny):
    _, budget = budget_of(Study.parse(many(tiny)).expand(), "ascent")
    stack = budget.singles[:16]
    edit = edit_bytes(budget.method, budget.model, stack, budget.context)
    others = answers(budget.method).delta_bytes(budget.model, budget.singles[16:])
    assert len(budget.singles) == 32 and others > 0
    assert (
        budget.bytes_of(16, 1) == edit + KEPT
    )  # without a suite, a stack is gone before the next one
    suite = replace(budget.measure, suite="editing")
    assert replace(budget, measure=suite).bytes_of(16, 1) == edit + others + KEPT
    # The last stack, or a batch, has no others beside it.
    assert replace(budget, measure=suite).bytes_of(32, 1) == budget.bytes_of(32, 1)


def test_durability_makes_independent_edits_as_one_batch(tiny):
    def with_and_without(label):
        _, budget = budget_of(Study.parse(many(tiny)).expand(), label)
        lasting = replace(budget, measure=replace(budget.measure, durability=3))
        return budget, lasting

    budget, lasting = with_and_without("ascent")
    method = answers(budget.method).for_batch(32)
    batch = edit_bytes(method, budget.model, [budget.plan.as_batch()], budget.context)
    assert method.edit_rows == 32
    assert lasting.least() == batch + KEPT > budget.least()
    # A batch is not made again, and the training after it takes less than the edit.
    budget, lasting = with_and_without("batch")
    assert lasting.least() == budget.least()


def test_durability_trains_as_the_model_was_trained(tiny, tmp_path):
    """A training without a document mask pads nothing, and goes on in float32."""
    _, budget = budget_of(Study.parse(tiny).expand(), "ascent")
    lasting = replace(budget, measure=replace(budget.measure, durability=3))
    words, steps = budget.model.config.vocab_size, list[int]()
    for own in (
        default_config("llama-nano", batch_size=512, block_length=64, document_mask=False),
        default_config("llama-nano", batch_size=512, block_length=64),
    ):
        step = step_bytes(own, words, 512 * 64)
        found = replace(lasting, config=own).least()
        assert found == 3 * weight_bytes(budget.model) + step + KEPT
        steps.append(step)
    assert steps[0] < steps[1]
    build_model(SIZES["14m"], 1000).save_pretrained(tmp_path)
    short, long = (
        default_config(start=tmp_path, batch_size=4, block_length=64, weights=weights)
        for weights in ("bf16", "fp32")
    )
    assert replace(lasting, config=short).least() == replace(lasting, config=long).least()


def test_more_of_anything_takes_more(tiny):
    _, budget = budget_of(Study.parse(tiny).expand(), "ascent")
    assert budget.bytes_of(2, 8) > budget.bytes_of(1, 8)
    assert replace(budget, twin=True).least() > budget.least()
    suite = replace(budget.measure, suite="unlearning")
    assert replace(budget, measure=suite).least() > budget.least()
