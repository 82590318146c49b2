"""What `tune` prints of its choice."""

from behemoth.cli.tune import _show
from behemoth.edit.registry import get_method
from behemoth.tune.asked import searched_by
from behemoth.tune.choose import Tuned


def test_a_choice_of_none_is_shown_as_it_is_written(capsys):
    settings = {"epsilon": 0.25, "layer": None, "steps": 20}
    done = Tuned(
        out="t", method="grace", objective="editing", settings=settings, score=0.75,
        default_score=0.5, default_steps=None, most_steps=None, trial=1, trials=2, carried_out=2,
        seconds=1.0, legs={"efficacy": 0.75},
    )  # fmt: skip
    _show(done, searched_by(get_method("grace")), "run")
    shown = capsys.readouterr().out
    assert "  layer = none (searched: none, -1)\n" in shown
    assert "  epsilon = 0.25 (searched: 0.02 to 2)\n" in shown
