from dataclasses import dataclass
from typing import ClassVar

import pytest

from behemoth.cli import study
from behemoth.study.gates import GATES, run as gates_run
from behemoth.study.gates.conditions import Condition
from behemoth.study.gates.picture import Picture
from behemoth.study.gates.units import Units


def condition(values):
    return Condition("a number", values, bound=0.5, effect=0.1)


@dataclass(frozen=True)
class Fixed:
    """A gate that needs nothing."""

    number: ClassVar = 2
    name: ClassVar = "claim"
    title: ClassVar = "A claim"
    source: ClassVar = "A source"
    pilot: ClassVar = "nothing was run before"
    reasons: ClassVar = ()
    setting: ClassVar = "A setting"
    seeds: int = 3

    def units(self, seed, threads):
        return Units({})

    def measure(self, results):
        return {"value": 0.9 + results.seed / 100}

    def conditions(self, rows):
        return [condition([row["value"] for row in rows])]

    def picture(self, rows):
        return Picture(
            "x", "y", [("a", 0.0, row["value"], 0) for row in rows], "A claim.", "A figure."
        )


def test_the_shell_is_offered_every_gate(monkeypatch, run, capsys):
    monkeypatch.setenv("_BEHEMOTH_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "behemoth study gates --gate ")
    monkeypatch.setenv("COMP_CWORD", "4")
    with pytest.raises(SystemExit):
        run()
    assert capsys.readouterr().out.split() == [str(gate.number) for gate in GATES]


def test_the_command(run, monkeypatch, tmp_path):
    monkeypatch.setattr(gates_run, "get_gates", lambda numbers: [Fixed()])
    out = tmp_path / "gates"
    ahead = run("study", "gates", "--out", out, "--dry-run")
    assert "2     A claim  not run yet  0 of 0" in ahead.out
    assert ahead.out.splitlines()[-1].startswith(f"{out}: 1 not run yet")
    report = run("study", "gates", "--out", out, "--gate", "2", "--json").json()
    assert list(report) == ["out", "gates", "failures", "seconds", "states"]
    [gate] = report["gates"]
    assert (gate["verdict"], gate["rows"][2]) == ("reproduced", {"value": 0.92})
    ran = run("study", "gates", "--out", out)
    assert ran.code == 0
    assert "2     A claim  reproduced" in ran.out
    assert "   a number: 0.91 [0.885, 0.935], above 0.5: holds\n" in ran.out
    assert "1 reproduced" in ran.out.splitlines()[-1]


def test_a_condition_is_written_with_what_it_rests_on():
    told = study._condition_text(condition([1.0, 1.0, 1.0]).judge())
    assert told == "a number: 1, the same in all 3 models, above 0.5: holds"
    many = study._condition_text(condition([-40.0, 50.0, 0.0]).judge())
    assert many.endswith("above 0.5: open (power 0.05 to detect 0.1; more than 1,000 models for "
                         "power 0.80)")  # fmt: skip


def test_the_command_refuses(run, tmp_path):
    refused = run("study", "gates", "--out", tmp_path / "g", "--gate", "1,1000").refused()
    assert refused.startswith("argument '--gate': got 1000, allowed: numbers of gates, 1 to ")
    assert "argument '--threads'" in run("study", "gates", "--threads", "0").refused()
