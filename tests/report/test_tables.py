"""The tables of a report."""

from behemoth.report.tables import method_table
from behemoth.study.analysis.summary import summarise
from behemoth.study.results import Failure


def test_the_row_of_a_method_says_how_many_of_its_trials_failed(draw):
    frames = draw(worlds=2, edits=4, probes=1, labels=("one", "two"), levels=(1, 16))
    reason = "every edit broke down: the loss is not finite"
    frames.failures = [Failure("t", "two", "m", reason), Failure("u", "gone", "m", reason)]
    table = method_table(summarise(frames, resamples=2))
    assert [row[0] for row in table.rows] == [
        "one", "two\n1 of 3 trials failed", "gone\n1 of 1 trials failed",
    ]  # fmt: skip
    assert len({len(row) for row in table.rows}) == 1 and "%" not in "".join(table.rows[2])
