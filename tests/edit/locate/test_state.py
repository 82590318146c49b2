"""What locate-and-edit methods know of a plan: the rows of its trace."""

from behemoth.edit.locate.state import Worked


def test_the_row_of_a_step_is_of_all_tokens_of_an_answer():
    first = [{"step": step, "edit": 5, "loss": loss} for step, loss in enumerate((4.0, 0.5))]
    second = [
        {"step": step, "edit": 5, "loss": loss, "log_probability_new": -loss,
         "log_probability_old": -1.0}
        for step, loss in enumerate((2.0, 1.0, 0.25))
    ]  # fmt: skip
    other = [{"step": 0, "edit": 7, "loss": 3.0}]
    failures = [None, "no solution", None]
    worked = Worked({}, {}, failures, [first, second, other], [(5,), (5,), (7, 8)])
    assert worked.trace() == [
        # The token where the answers part is the second, and the first had stopped at step 1.
        {"step": 0, "edit": 5, "loss": 3.0, "log_probability_new": -2.0,
         "log_probability_old": -1.0},
        {"step": 1, "edit": 5, "loss": 0.75, "log_probability_new": -1.0,
         "log_probability_old": -1.0},
        {"step": 2, "edit": 5, "loss": 0.375, "log_probability_new": -0.25,
         "log_probability_old": -1.0},
        {"step": 0, "edit": 7, "loss": 3.0},
        {"edit": 5, "failure": "no solution"},
    ]  # fmt: skip
    assert worked.failure() is None, "of one edit of two"
    worked.failures[2] = "loss nan"
    assert worked.failure() == "no solution"
