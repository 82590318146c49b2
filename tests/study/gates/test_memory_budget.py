"""What gates need of memory: what is refused before anything is written, and fewer workers."""

from dataclasses import replace

import pytest

from behemoth import ArgumentError
from behemoth.study.directory import StudyDirectory
from behemoth.study.gates import GATES, run_gates
from behemoth.study.gates.memory_budget import shares_of_gates
from behemoth.study.gates.units import SharedWorld, expansion_of, units_of
from behemoth.study.work.memory_budget import _needs
from behemoth.study.work.schedule import Work
from behemoth.support.workers import WORKER

WORLD = SharedWorld(
    subjects=20, relations=2, objects=5, levels=(1, 8),
    train={"steps": 5, "block_length": 32, "batch_size": 4},
)  # fmt: skip


def gate_of(number, **changes):
    """A gate of two seeds on a world that is made in no time."""
    gate = next(gate for gate in GATES if gate.number == number)
    return replace(gate, seeds=2, **{"world": WORLD, **changes})


def shares(place, gates, memory, workers=None, reasons=False):
    return shares_of_gates(StudyDirectory(place), gates, 1, workers, memory, reasons=reasons)


def test_this_process_has_a_share_beside_the_workers(tmp_path):
    out, gate = tmp_path / "g", gate_of(7, edits=2)
    work = Work(StudyDirectory(out), expansion_of(units_of(gate, 1)), None)
    least = max(need.least for need in _needs(work))
    whole = shares(out, [gate], 4 * least, workers=3)
    assert (whole.workers, whole.unit_bytes) == (3, least - WORKER)
    # Fewer workers by default; a number that was asked for is refused.
    assert shares(out, [gate], 2 * least).workers == 1
    with pytest.raises(ArgumentError, match=r"argument 'workers': got 3, each of .* up to 1$"):
        shares(out, [gate], 2 * least, workers=3)


def test_gates_that_fit_are_named(tmp_path, monkeypatch):
    out = tmp_path / "g"
    few = gate_of(7, edits=2)
    many = gate_of(1, world=replace(WORLD, train={"batch_size": 512}))
    memory = 2 * shares(out, [few], 1 << 40).worker_peak
    with pytest.raises(ArgumentError) as caught:
        run_gates(out, gates=[few, many], memory=memory)
    message = str(caught.value)
    assert message.startswith(
        "argument 'gate': got 7, 1, with train.batch_size 512 of nano, which needs about "
    )
    assert message.endswith("and the process that measures needs as much, allowed: what fits: 7")
    # Without a limit, what is free is the limit.
    monkeypatch.setattr("behemoth.support.memory.available", lambda: 300 << 20)
    with pytest.raises(ArgumentError, match=r"MB is free, .*: gates that need less, or more"):
        run_gates(out, gates=[few])
    assert not out.exists()
    with pytest.raises(ArgumentError, match="argument 'memory': got 0, allowed"):
        run_gates(out, gates=[few], memory=0)


def test_units_of_reasons_count_where_they_may_be_carried_out(tmp_path):
    gate = gate_of(7, edits=2)
    assert any(reason.changes for reason in gate.reasons)
    plain, with_reasons = (
        shares(tmp_path / "g", [gate], 1 << 40, reasons=reasons) for reasons in (False, True)
    )
    assert plain.worker_peak <= with_reasons.worker_peak
