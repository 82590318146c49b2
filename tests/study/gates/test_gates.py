import dataclasses
import json

import numpy as np
import polars as pl
import pytest

from behemoth import ArgumentError
from behemoth.study.gates import (
    GATES,
    VERDICTS,
    capacity,
    damage,
    forgetting,
    frequency,
    get_gates,
    inversion,
    paraphrases,
    plateau,
    rank_and_part,
    recall_threshold,
    run,
    run_gates,
)
from behemoth.study.gates.bench import Frequency
from behemoth.study.gates.record import Judgement, shown

YES, NO, SMALL = VERDICTS
SIGMOID = [(2, 0.02), (4, 0.05), (8, 0.3), (16, 0.9), (32, 1.0), (64, 1.0)]
EARLIER = [(2, 0.05), (4, 0.4), (8, 0.9), (16, 1.0), (32, 1.0), (64, 1.0)]


def test_every_gate_is_there_and_says_what_it_is():
    assert [gate.number for gate in GATES] == list(range(1, len(GATES) + 1))
    for gate in GATES:
        assert dataclasses.is_dataclass(gate)
        assert gate.title and gate.rule and gate.source
    assert [gate.number for gate in get_gates([7, 1, 7])] == [1, 7]
    with pytest.raises(
        ArgumentError, match="argument 'only': got 1000, allowed: numbers of gates, 1 to"
    ):
        get_gates([1, 1000])


def test_gates_share_what_is_the_same():
    wanted = [gate.units(1) for gate in GATES]
    expansion = run._expansion(wanted)
    assert len(expansion.models) < sum(len(units.models) for units in wanted)
    shared = {units.models["model"].id for units in (wanted[i] for i in (1, 5, 6, 7))}
    assert shared == {wanted[0].models["nano"].id}
    assert {trial.model for trial in expansion.trials} <= set(expansion.models)
    # Threads move weights, so they make another model.
    assert set(run._expansion([GATES[1].units(2)]).models).isdisjoint(expansion.models)


def test_only_what_was_not_shown_names_a_size():
    with pytest.raises(AssertionError):
        Judgement(SMALL, "seen")
    with pytest.raises(AssertionError):
        Judgement(YES, "seen", "a size")


@pytest.mark.parametrize(
    ("curves", "verdict"),
    [
        ({"small": SIGMOID, "large": EARLIER}, YES),
        ({"small": EARLIER, "large": SIGMOID}, NO),  # the larger model needs more
        ({"small": SIGMOID, "large": SIGMOID}, SMALL),
        ({"small": SIGMOID[:3], "large": EARLIER}, SMALL),  # the head is out of sight
        ({"small": [(2, 0.1), (4, 0.6), (8, 0.3), (16, 0.9)], "large": EARLIER}, NO),
        ({"small": [(2, 0.0), (4, 0.25), (8, 0.5), (16, 0.75), (32, 1.0)], "large": EARLIER}, NO),
    ],
)
def test_recall_threshold(curves, verdict):
    assert recall_threshold.judge(curves).verdict == verdict


def test_a_threshold_lies_between_levels():
    assert recall_threshold.threshold([(1, 0.0), (4, 1.0)]) == pytest.approx(2.0)
    assert recall_threshold.threshold([(1, 0.0), (4, 0.4)]) is None
    logistic, line = recall_threshold.fits(SIGMOID)
    assert logistic > 0.99 > line


@pytest.mark.parametrize(
    ("density", "offered", "verdict"),
    [
        ([(2, 0.001), (16, 0.01), (256, 0.014)], 0.014, SMALL),
        ([(2, 0.2), (100, 1.0), (1000, 1.9)], 4.0, YES),
        ([(2, 0.2), (100, 0.3), (1000, 0.4)], 4.0, NO),  # too little at 100
        ([(2, 0.2), (100, 1.0), (1000, 2.5)], 4.0, NO),  # more than a parameter holds
        ([(2, 0.014), (16, 0.01), (256, 0.001)], 0.014, NO),
    ],
)
def test_capacity(density, offered, verdict):
    judgement = capacity.judge(density, offered, objects=50)
    assert judgement.verdict == verdict
    assert (judgement.expected is not None) == (verdict == SMALL)


def test_where_a_plateau_begins_and_ends():
    loss = np.concatenate([np.linspace(5, 2, 20), np.full(40, 2.0), np.linspace(2, 0, 20)])
    begin, end = plateau.plateau(loss, chance=2.0)
    assert 18 < begin < 26 and 62 < end < 72
    assert plateau.plateau(loss[:60], chance=2.0) == (begin, None)
    assert plateau.plateau(np.full(30, 5.0), chance=2.0) == (30, None)


@pytest.mark.parametrize(
    ("uniform", "skewed", "verdict"),
    [
        ((10, 60, 0.05, 0.9), (10, 40, 0.1, 0.6), YES),
        ((10, 60, 0.05, 0.9), (10, 70, 0.1, 0.6), NO),
        ((10, 60, 0.05, 0.9), (10, None, 0.1, 0.1), NO),
        ((10, 60, 0.5, 0.9), (10, 40, 0.1, 0.6), SMALL),  # known before it ends
        ((10, 15, 0.05, 0.9), (10, 12, 0.1, 0.6), SMALL),  # no plateau
        ((10, None, 0.05, 0.05), (10, 40, 0.1, 0.6), SMALL),
    ],
)
def test_plateaus(uniform, skewed, verdict):
    keys = ("begin", "end", "recall_at_end", "recall")
    found = {
        name: dict(zip(keys, values, strict=True))
        for name, values in (("uniform", uniform), ("skewed", skewed))
    }
    assert plateau.judge(found, steps=100).verdict == verdict


@pytest.mark.parametrize(
    ("one", "many", "verdict"),
    [
        ((1.0, 0.1), (0.95, 0.9), YES),
        ((1.0, 0.9), (0.95, 0.95), NO),
        ((1.0, 0.1), (0.95, 0.2), NO),
        ((1.0, 0.1), (0.5, 0.5), SMALL),
    ],
)
def test_paraphrases(one, many, verdict):
    assert paraphrases.judge(one, many).verdict == verdict


@pytest.mark.parametrize(
    ("forward", "inverse", "verdict"),
    [
        ((1.0, 1.0), (0.01, 0.9), YES),
        ((1.0, 1.0), (0.2, 0.9), NO),
        ((1.0, 1.0), (0.01, 0.3), SMALL),
        ((0.5, 1.0), (0.01, 0.9), SMALL),
    ],
)
def test_inversion(forward, inverse, verdict):
    assert inversion.judge(forward, inverse, 400, 100).verdict == verdict


def test_inverse_questions_are_what_the_inverse_order_says():
    corpus = inversion.Inversion(subjects=6, relations=2).units(1).models["both"].corpus.make()
    prompts, answers = inversion.questions(corpus)
    facts = corpus.world.facts(0, corpus.world.num_facts)
    for prompt, answer, row in zip(prompts, answers, facts.iter_rows(named=True), strict=True):
        said = corpus.decode(np.append(prompt, answer))
        assert said == f"object O{row['relation']}:{row['object']} is subject S{row['subject']}"


STEPS = [0, 1, 2, 4, 8, 16, 32, 64, 128]


@pytest.mark.parametrize(
    ("retained", "verdict"),
    [
        ([1.0, *(0.9 * step**-0.3 for step in STEPS[1:])], YES),
        ([1.0, *(float(np.exp(-step / 20)) for step in STEPS[1:])], NO),
        ([1.0, 0.5, 0.0, -0.1, -0.1, -0.1, -0.1, -0.1, -0.1], NO),  # gone at once
        ([1.0, 1.0, 0.99, 0.99, 0.98, 0.95, 0.9, 0.8, 0.6], SMALL),
    ],
)
def test_forgetting(retained, verdict):
    assert forgetting.judge(STEPS, retained).verdict == verdict


def doses(slope, unreached=0):
    exposures = np.repeat([4, 16, 64, 256], 10)
    dose = (10 + slope * np.log2(exposures) + np.tile(np.arange(10), 4) / 10).astype(int)
    reached = np.arange(len(dose)) < len(dose) - unreached
    frame = pl.DataFrame({"exposures": exposures, "dose": dose, "reached": reached})
    return frequency.trend(frame)


def test_doses():
    up, flat, down = doses(2), doses(0), doses(-1)
    assert frequency.judge({"edit": up, "unlearn": up}).verdict == YES
    assert frequency.judge({"edit": up, "unlearn": flat}).verdict == SMALL
    assert frequency.judge({"edit": down, "unlearn": up}).verdict == NO
    assert doses(2, unreached=10)["ed50"][-1] is None  # censored, and the highest all the same
    assert doses(-1, unreached=10)["rho"] > down["rho"]
    none = frequency.trend(
        pl.DataFrame(schema={"exposures": pl.UInt64, "dose": pl.UInt32, "reached": pl.Boolean})
    )
    assert none["rho"] is None and frequency.judge({"edit": none}).verdict == SMALL


def close(difference):
    rows = [
        {"edit": edit, "group": group, "kl": 0.1 + edit / 100 + (group != "unrelated") * difference}
        for edit in range(12)
        for group in (*damage.CLOSE, "unrelated")
    ]
    return damage.closeness(pl.DataFrame(rows))


def test_damage():
    grows, falls = [(1, 0.1), (8, 0.2), (64, 0.4)], [(1, 0.4), (8, 0.2), (64, 0.1)]
    assert damage.judge(close(0.1), grows).verdict == YES
    assert damage.judge(close(-0.05), grows).verdict == NO
    assert damage.judge(close(0.1), falls).verdict == NO
    assert damage.judge(close(0.0), grows).verdict == SMALL
    assert damage.judge(close(0.1), [(1, 0.1), (8, 0.4), (64, 0.3)]).verdict == SMALL


def methods(mlp, both, followed=(0.1, 0.4), consequences=40):
    names = ("1", "16", "full")
    return {
        f"{part} {rank}": {"ed50": dose, "followed": share, "consequences": consequences}
        for part, dosages, share in (("mlp", mlp, followed[0]), ("both", both, followed[1]))
        for rank, dose in zip(names, dosages, strict=True)
    }


def test_rank_and_part():
    mlp, both = (20, 5, 10), (15, 3, 8)
    assert rank_and_part.judge(methods(mlp, both)).verdict == YES
    assert rank_and_part.judge(methods(mlp, both, followed=(0.4, 0.1))).verdict == NO
    assert rank_and_part.judge(methods(mlp, both, followed=(0.0, 0.0))).verdict == SMALL
    assert rank_and_part.judge(methods(mlp, both, consequences=3)).verdict == SMALL
    assert rank_and_part.judge(methods((20, 15, 10), (15, 12, 8))).verdict == NO  # full is best
    assert rank_and_part.judge(methods(both, mlp)).verdict == NO  # attention does not help
    assert rank_and_part.judge(methods((None, 5, None), both)).verdict == YES  # out of reach


def test_numbers_for_people():
    assert [shown(value) for value in (None, 0.0, 0.05123, 12, 123456)] == [
        "none", "0", "0.0512", "12", "123,456",
    ]  # fmt: skip


TINY = Frequency(
    subjects=20, relations=2, objects=5, levels=(1, 8),
    train={"steps": 5, "block_length": 32, "batch_size": 4},
)  # fmt: skip


@pytest.fixture
def units(monkeypatch, in_process_engine):
    """Units are carried out in this process; the list of those that were."""
    done = []

    def engine(path, *_):
        made = in_process_engine(path)
        made.done = done
        return made

    monkeypatch.setattr(run, "_engine", engine)
    return done


def test_tiny_gates_from_end_to_end(units, tmp_path):
    out = tmp_path / "gates"
    gates = [
        capacity.Capacity(world=TINY),
        forgetting.Forgetting(world=TINY, steps=4, share=1, least_exposures=1),
        frequency.Doses(world=TINY, edits=2, steps=3),
    ]
    said = []
    result = run_gates(out, gates=gates, progress=said.append)
    assert result.failures == [] and len(units) == 3  # a model and two trials
    assert [record.number for record in result.gates] == [2, 6, 7]
    assert all(record.verdict in VERDICTS for record in result.gates)
    assert all(record.seconds > 0 for record in result.gates)
    assert f"gate 2: {capacity.Capacity.title}" in [moment.details for moment in said]
    written = json.loads((out / "gates.json").read_text())
    assert written["gates"] == json.loads(json.dumps([g.to_dict() for g in result.gates]))
    # Again: nothing is done twice, and gates that are not asked for stay in the file.
    again = run_gates(out, gates=gates[:1])
    assert len(units) == 3
    assert again.gates[0].seen == result.gates[0].seen
    assert json.loads((out / "gates.json").read_text())["gates"][1:] == written["gates"][1:]
    assert list((out / "forgetting").iterdir())


def test_a_gate_whose_unit_fails_has_no_verdict(units, tmp_path):
    gates = [
        frequency.Doses(world=TINY, edits=200, steps=3),  # more than there are
        capacity.Capacity(world=TINY),
    ]
    result = run_gates(tmp_path / "gates", gates=gates)
    assert [record.number for record in result.gates] == [2]
    [failure] = result.failures
    assert failure.number == 7 and "argument 'edits': got 200" in failure.reason


def test_what_is_refused(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("")
    with pytest.raises(
        ArgumentError, match="holds something else, allowed: a new or empty directory"
    ):
        run_gates(tmp_path / "other")
    with pytest.raises(ArgumentError, match=r"argument 'out': got .*, allowed: a directory"):
        run_gates(tmp_path / "other" / "file")
    later = '{"format_version": 99, "gates": []}'
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "gates.json").write_text(later)
    with pytest.raises(ArgumentError, match="gates of format version 99, allowed: a new directory"):
        run_gates(tmp_path / "later")
    assert (tmp_path / "later" / "gates.json").read_text() == later
    with pytest.raises(ArgumentError, match="argument 'threads': got 0"):
        run_gates(tmp_path / "new", threads=0)
    assert not (tmp_path / "new").exists()
