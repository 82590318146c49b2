from behemoth.study.gates import run as gates_run
from behemoth.study.gates.bench import Units
from behemoth.study.gates.record import Judgement, Seen


class Fixed:
    """A gate that needs nothing."""

    number, title, rule, source = 2, "A claim", "A rule", "A source"

    def units(self, threads):
        return Units({})

    def look(self, bench):
        return Seen(
            "done", {"value": 1}, Judgement("not shown at this size", "seen", "a larger size")
        )


def test_the_command(run, monkeypatch, tmp_path):
    monkeypatch.setattr(gates_run, "get_gates", lambda only: [Fixed()])
    out = tmp_path / "gates"
    report = run("study", "gates", "--out", out, "--only", "2", "--json").json()
    assert list(report) == ["out", "gates", "failures", "seconds"]
    [gate] = report["gates"]
    assert (gate["verdict"], gate["seen"]) == ("not shown at this size", {"value": 1})
    ran = run("study", "gates", "--out", out)
    assert ran.code == 0 and "2     A claim  not shown at this size" in ran.out
    assert "   expected: a larger size\n" in ran.out
    assert ran.err == ""
    assert "1 not shown at this size" in ran.out.splitlines()[-1]


def test_the_command_refuses(run, tmp_path):
    refused = run("study", "gates", "--out", tmp_path / "g", "--only", "1,1000").refused()
    assert refused.startswith("argument 'only': got 1000, allowed: numbers of gates, 1 to ")
    assert "argument '--threads'" in run("study", "gates", "--threads", "0").refused()
