"""The table ``[measure]``: what a study may measure, and what of it ids depend on."""

import pytest

from behemoth import ArgumentError
from behemoth.study.file.axes import axes_of
from behemoth.study.file.measurement import Measurement
from behemoth.study.file.spec import Study

SEQUENCE = {"sequential": True, "suite": "sequence"}


def test_what_makes_no_sequence_has_the_id_that_it_had():
    new = {"sequential", "checkpoint_at"}
    for suite in (None, "editing", "unlearning"):
        assert not new & Measurement(suite=suite).to_dict().keys()
    made = Measurement(**SEQUENCE).to_dict()
    assert made["sequential"] is True and "checkpoint_at" not in made
    assert Measurement(**SEQUENCE, continued=3, added=True).to_dict() == made, "which it has not"


def test_checkpoints_are_in_order_and_once_each():
    one, other = (
        Measurement.from_dict({**SEQUENCE, "checkpoint_at": given})
        for given in ([10, 1, 10], [1, 10])
    )
    assert one == other and one.to_dict()["checkpoint_at"] == [1, 10]
    assert Measurement.from_dict(one.to_dict()) == one
    assert Measurement.from_dict({**SEQUENCE, "checkpoint_at": []}) == Measurement(**SEQUENCE)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"suite": "sequence"}, "'suite': got sequence, allowed: with sequential = true"),
        ({"sequential": 1}, "'sequential': got 1, allowed: True or False"),
        ({**SEQUENCE, "twin": True}, "'twin': got True, allowed: false with suite sequence"),
        ({**SEQUENCE, "checkpoint_at": [0]}, "'checkpoint_at': got 0, allowed: a whole number fr"),
        ({**SEQUENCE, "checkpoint_at": "all"}, "'checkpoint_at': got all, allowed: a list of who"),
        (
            {"sequential": True, "checkpoint_at": [1]},
            r"'checkpoint_at': got \[1\], allowed: only with suite sequence",
        ),
        ({"suite": "recall"}, "'suite': got recall, allowed: editing, unlearning, sequence"),
    ],
)
def test_what_makes_no_sense_is_refused(values, said):
    with pytest.raises(ArgumentError, match=said):
        Measurement(**values)


@pytest.fixture
def sequential(tiny):
    measure = '[measure]\nsequential = true\nsuite = "sequence"\n'
    return tiny.replace("[grid]", f"{measure}[grid]").replace("rank = [1, 4]", "rank = [1]")


def test_a_checkpoint_beyond_the_plan_is_refused_before_anything_runs(sequential):
    Study.parse(sequential.replace("sequential", "checkpoint_at = [4]\nsequential", 1))
    with pytest.raises(ArgumentError, match=r"measure.checkpoint_at': got 5, allowed: 1 to 4, the"):
        Study.parse(sequential.replace("sequential", "checkpoint_at = [1, 5]\nsequential", 1))
    swapped = sequential.replace('"corpus.rotation" = [0, 1]', '"corpus.swap" = [2]')
    Study.parse(swapped)
    with pytest.raises(ArgumentError, match=r"checkpoint_at': got 4, allowed: 1 to [23], the edi"):
        Study.parse(swapped.replace("sequential", "checkpoint_at = [4]\nsequential", 1))


def test_a_file_says_no_text_for_a_list(sequential):
    with pytest.raises(ArgumentError, match=r"checkpoint_at': got '1,4', allowed: a list of whol"):
        Study.parse(sequential.replace("sequential", 'checkpoint_at = "1,4"\nsequential', 1))


def test_an_axis_has_the_default_of_what_a_record_omits(tiny):
    grid = '"measure.sequential" = [false, true]'
    expansion = Study.parse(tiny.replace("[grid]", f"[grid]\n{grid}")).expand()
    models = {name: unit.to_dict() for name, unit in expansion.models.items()}
    said = {
        trial.measure.sequential: axes_of(
            ["measure.sequential"], trial.row(), models[trial.model], {}
        )
        for trial in expansion.trials
    }
    assert said == {value: {"measure.sequential": value} for value in (False, True)}
