"""One form of progress: for nobody, for a function of the caller's, as bars, as a line."""

import io

import pytest

from behemoth.support.bars import Bars, Lines, Log, bars
from behemoth.support.progress import Moment, silent, task


def test_nobody_is_told_nothing():
    with task(None, "counting", "tokens") as step:
        assert step is silent
        step(1, 2)


def test_a_function_is_called_with_a_moment():
    seen = []
    with task(seen.append, "training", "steps") as step:
        step(1, 20)
        step(20, 20, "loss 1.5")
    assert seen == [
        Moment("training", "steps", 1, 20),
        Moment("training", "steps", 20, 20, "loss 1.5"),
    ]
    assert str(seen[1]) == "training: 20 of 20 steps, loss 1.5"
    assert str(Moment("writing", "bytes", 1500, 2_000_000)) == "writing: 1.50 kB of 2.00 MB"


def test_what_it_raises_stops_the_work():
    def stop(moment):
        raise KeyError

    with pytest.raises(KeyError), task(stop, "counting", "tokens") as step:
        step(1, 2)


def test_a_line_is_written_over_and_ends():
    stream = io.StringIO()
    with task(Lines(stream), "counting", "tokens") as step:
        step(0, 10)
        assert stream.getvalue() == ""  # nothing before something is done
        step(2_000, 10_000)
        step(3_000, 10_000)  # too soon after the last
        step(10, 10)
    assert stream.getvalue().split("\r") == [
        "",
        "counting: 2.00 k of 10.0 k tokens",
        f"{'counting: 10 of 10 tokens':<33}\n",
    ]


def test_bars_of_tasks_at_once_and_one_after_the_other(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as if it were a terminal
    monkeypatch.setenv("COLUMNS", "120")
    looking = Bars()
    with task(looking, "models", "models") as models, task(looking, "trials", "trials") as trials:
        models(1, 1)
        trials(3, 4, "3 of 4, 1 running")
    with task(looking, "writing", "bytes") as step:
        step(0, 100)
    with pytest.raises(ZeroDivisionError), task(looking, "probes", "probes") as step:
        step(5, 100) or 1 / 0
    said = capsys.readouterr().err
    assert all(text in said for text in ("1 of 1 models", "3 of 4, 1 running", "5 of 100 probes"))
    assert "writing" not in said
    assert said.rindex("trials") < said.index("probes")


def test_a_log_gets_a_line_every_half_minute():
    stream, clock = io.StringIO(), iter([0, 1, 29, 31, 45, 61, 3600])
    with task(Log(stream, lambda: next(clock)), "training", "steps") as step:
        step(100, 1000)  # where an earlier call had come to
        step(130, 1000)
        step(131, 1000)
        step(140, 1000)
        step(161, 1000, "step 161 of 1,000, loss 1.5, 0:13:20 left")
        step(1000, 1000)
    assert stream.getvalue() == (
        "training: 131 of 1.00 k steps, 1/s, 0:14:29 left\n"
        "training: step 161 of 1,000, loss 1.5, 0:13:20 left\n"
        "training: 1.00 k of 1.00 k steps, 0:00:00 left\n"
    )


def test_a_log_of_what_stands_still_has_no_rate():
    stream, clock = io.StringIO(), iter([0, 40, 80])
    with task(Log(stream, lambda: next(clock)), "models", "models") as step:
        step(0, 3)
        step(0, 3)
    assert stream.getvalue() == "models: 0 of 3 models\n" * 2


def test_bars_say_nothing_of_short_work_where_there_is_no_terminal(capsys, monkeypatch):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    assert bars() is None
    with task(Bars(), "counting", "tokens") as step:
        step(1, 2)
    assert capsys.readouterr() == ("", "")
