"""Gates from end to end, at a size that takes seconds."""

import dataclasses
import json
from pathlib import Path

import pytest

from behemoth import ArgumentError
from behemoth.report.gates import NOT_RUN, page_name, read_records, write_gate_pages
from behemoth.study.directory import StudyDirectory
from behemoth.study.gates import GATES, VERDICTS, measures, run, run_gates
from behemoth.study.gates.recall_threshold import RecallThreshold
from behemoth.study.gates.record import Reason
from behemoth.study.gates.units import GateResults, SharedWorld, Units

TINY = SharedWorld(
    subjects=20, relations=2, objects=5, levels=(1, 8),
    train={"steps": 5, "block_length": 32, "batch_size": 4},
)  # fmt: skip
CHANGES = {
    1: {"world": TINY},
    2: {"subjects": 20, "relations": 1, "objects": 5, "levels": (2, 4), "batch_size": 2},
    3: {"subjects": 40, "objects": 5, "uniform": 16, "skewed": "zipf:alpha=0.7,min=1,max=60",
        "batch_size": 2, "probed": 10},
    4: {"people": 12, "exposures": 5, "batch_size": 2, "tuning": 2, "rows": 4},
    5: {"subjects": 8, "relations": 2, "exposures": 4, "batch_size": 1},
    6: {"subjects": 20, "objects": 5, "injected": 5, "blocks": 1, "before": 2, "injection": 2,
        "after": 12, "looks": 8},
    7: {"world": TINY, "edits": 2, "steps": 3},
    8: {"world": TINY, "edits": 2, "sequence": (1, 2, 4), "steps": 2},
    9: {"world": TINY, "nested": 5, "ranks": (1,), "rates": (1.0,), "edits": 1, "steps": 2},
    10: {"world": TINY, "ratios": (1, 2), "words": 10},
    11: {"subjects": 20, "relations": 1, "objects": 5, "exposures": 2, "others": 4,
         "batch_size": 1},
    12: {"subjects": 20, "objects": 10, "nested": 5, "exposures": 4, "links": 4, "batch_size": 1,
         "edits": 2, "steps": 2},
}  # fmt: skip


def tiny(number, seeds=2):
    gate = next(gate for gate in GATES if gate.number == number)
    changes = dict(CHANGES[number])
    if number == 12:
        changes["inverse"] = tiny(5)
    return dataclasses.replace(gate, seeds=seeds, **changes)


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


@pytest.mark.slow
@pytest.mark.parametrize("number", CHANGES)
def test_every_gate_runs(units, tmp_path, number):
    gate = tiny(number, 1)
    result = run_gates(tmp_path / "gates", gates=[gate])
    write_gate_pages(tmp_path / "gates", tmp_path / "pages", gates=[gate])
    assert result.failures == []
    [record] = result.gates
    assert record.verdict in VERDICTS
    assert record.seconds > 0
    assert len(record.rows) == 1
    page = (tmp_path / "pages" / f"{page_name(number, record.name)}.md").read_text()
    assert all(one.says in page for one in record.conditions)


def test_a_run_goes_on_where_it_was_stopped(units, tmp_path, monkeypatch):
    out = tmp_path / "gates"
    gate = tiny(7)
    measure = type(gate).measure
    asked = []

    def stopping(self, results):
        asked.append(results.seed)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return measure(self, results)

    monkeypatch.setattr(type(gate), "measure", stopping)
    with pytest.raises(KeyboardInterrupt):
        run_gates(out, gates=[gate])
    carried_out = len(units)
    assert carried_out == 6  # a model and two trials of each seed
    [state] = run_gates(out, gates=[gate], dry_run=True).states
    assert (state.models_done, state.trials_done, state.verdict) == (2, 4, None)
    said = []
    result = run_gates(out, gates=[gate], progress=said.append)
    # The seed that was measured is not measured again, nor is any unit.
    assert asked == [0, 1, 1]
    assert len(units) == carried_out
    assert result.failures == []
    assert result.states[0].verdict == result.gates[0].verdict
    assert f"0 of 1, gate 7: {gate.title}" in [moment.details for moment in said]
    written = json.loads((Path(result) / "gates.json").read_text())
    assert written["gates"][0]["rows"] == result.to_dict()["gates"][0]["rows"]
    # Again: the same numbers, and nothing is done.
    again = run_gates(out, gates=[gate])
    assert asked == [0, 1, 1]
    assert again.to_dict()["gates"][0]["rows"] == result.to_dict()["gates"][0]["rows"]
    # With other threads it has other models.
    [state] = run_gates(out, gates=[gate], threads=2, dry_run=True).states
    assert (state.models_done, state.verdict) == (0, None)
    # Another size is measured anew, on the units that it has in common.
    other = dataclasses.replace(gate, edits=1)
    assert run_gates(out, gates=[other], dry_run=True).states[0].models_done == 2
    # The pages: one that was run, and eleven that wait.
    pages = tmp_path / "pages"
    write_gate_pages(out, pages, gates=[gate])
    assert list(read_records(pages)) == [7]
    assert (pages / f"{page_name(7, gate.name)}.svg").read_text().startswith("<svg")
    index = (pages / "index.md").read_text()
    assert index.count(NOT_RUN) == 11 + 1
    assert len(list(pages.glob("*.md"))) == 13
    waiting = (pages / f"{page_name(3, GATES[2].name)}.md").read_text()
    assert "behemoth study gates --gate 3 " in waiting


def test_reasons_are_tested_where_a_gate_is_not_reproduced(units, tmp_path):
    class Gate(RecallThreshold):
        reasons = (*RecallThreshold.reasons[:2], Reason("a larger world", cost="a long time"))

    gate = Gate(**{name: getattr(tiny(1), name) for name in ("world", "sizes", "rates", "seeds")})
    result = run_gates(tmp_path / "gates", gates=[gate], reasons=True)
    write_gate_pages(tmp_path / "gates", tmp_path / "pages", gates=[gate])
    [record] = result.gates
    assert record.verdict == "not reproduced"  # of five steps
    assert record.reasons[0]["changes"] == dict(gate.reasons[0].changes)
    tested = [reason for reason in record.reasons if "conditions" in reason]
    assert 0 < len(tested) == sum(bool(reason.changes) for reason in gate.reasons) < 3
    assert all(reason["verdict"] in VERDICTS for reason in tested)
    page = (tmp_path / "pages" / f"{page_name(1, gate.name)}.md").read_text()
    assert page.count(": not tested") == len(record.reasons) - len(tested)
    # Two sizes, two seeds and two rates; and a third size, which the second reason needs.
    assert len(units) == 8 + 2


def test_a_gate_whose_unit_fails_has_no_verdict(units, tmp_path):
    bad = dataclasses.replace(tiny(7), edits=200)  # more than there are
    result = run_gates(tmp_path / "gates", gates=[bad])
    assert result.gates == ()
    [failure] = result.failures
    assert failure.number == 7
    assert "argument 'edits': got 200" in failure.reason
    assert result.states[0].verdict is None


class _Measuring:
    """A gate that measures nothing but torch's threads."""

    def __init__(self):
        self.seen = []

    def measure(self, results):
        import torch

        self.seen.append(torch.get_num_threads())
        return {"number": 1.0}


@pytest.fixture
def measuring(tmp_path, monkeypatch):
    gate = _Measuring()
    gate.number = 99
    monkeypatch.setattr(measures, "identity", lambda gate: "0" * 16)
    return gate, GateResults(StudyDirectory(tmp_path), Units({}), threads=3)


def test_measurements_use_the_threads_that_the_record_states(measuring):
    """They train and edit, and weights depend on the number of threads."""
    import torch

    gate, results = measuring
    before = torch.get_num_threads()
    assert before != 3
    assert measures.measured(gate, results)[0] == {"number": 1.0}
    assert gate.seen == [3] and torch.get_num_threads() == before


def test_a_damaged_measurement_is_made_again(measuring):
    gate, results = measuring
    measures.measured(gate, results)
    [file] = (results.directory.path / "measures").iterdir()
    text = file.read_text()
    for number, damaged in enumerate((text[:20], text.replace("1.0", "2.0"), "[]"), 2):
        file.write_text(damaged)
        assert measures.measured(gate, results)[0] == {"number": 1.0}
        assert len(gate.seen) == number
    assert json.loads(file.read_text())["row"] == {"number": 1.0}
    file.write_text('{"row": {"number": 4.0}, "seconds": 1.0}')  # of a version without seals
    assert measures.measured(gate, results)[0] == {"number": 4.0}


def test_a_verdict_written_before_the_lock_is_held_stays(tmp_path, monkeypatch):
    record = {"number": 3, "identity": "x", "verdict": VERDICTS[0], "rows": []}
    own = StudyDirectory.locked

    def meanwhile(*arguments, **options):
        text = json.dumps({"format_version": 2, "gates": [record]})
        (tmp_path / "gates.json").write_text(text)
        return own(*arguments, **options)

    monkeypatch.setattr(StudyDirectory, "locked", meanwhile)
    run_gates(tmp_path, gates=[])
    assert json.loads((tmp_path / "gates.json").read_text())["gates"] == [record]


def test_a_run_that_was_killed_at_its_first_record_starts_again(tmp_path):
    (tmp_path / ".lock").touch()
    (tmp_path / ".gates.json.abcd1234.tmp").mkdir()
    assert run_gates(tmp_path, gates=[]).gates == ()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".lock", "gates.json"]


def test_a_gate_may_be_given_by_its_number(tmp_path):
    [state] = run_gates(tmp_path / "new", gate=6, dry_run=True).states
    assert state.number == 6 and not (tmp_path / "new").exists()


def test_what_is_refused(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("")
    with pytest.raises(
        ArgumentError, match=r"something else \(file\), allowed: a new or empty directory"
    ):
        run_gates(tmp_path / "other")
    with pytest.raises(ArgumentError, match=r"argument 'out': got .*, allowed: a directory"):
        run_gates(tmp_path / "other" / "file")
    later = '{"format_version": 99, "gates": []}'
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "gates.json").write_text(later)
    with pytest.raises(ArgumentError, match="gates of format version 99, allowed: gates of"):
        run_gates(tmp_path / "later")
    assert (tmp_path / "later" / "gates.json").read_text() == later
    with pytest.raises(ArgumentError, match="argument 'threads': got 0"):
        run_gates(tmp_path / "new", threads=0)
    for gate in ("7", [True], [[7]], 13, 1.0):
        with pytest.raises(ArgumentError, match=r"'gate': got .*, allowed: numbers of gates, 1 to"):
            run_gates(tmp_path / "new", gate=gate)
    with pytest.raises(ArgumentError, match="argument 'dry_run': got no, allowed: True or False"):
        run_gates(tmp_path / "new", gate=6, dry_run="no")
    assert not (tmp_path / "new").exists()
