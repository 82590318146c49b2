"""Costs of a study's trials: counted once, shared by its workers, and checked when read."""

from behemoth.edit.cost import EditCost
from behemoth.study.trial.costs import Costs

KIND = ("nano", 123, "FineTuning(steps=3)", 16)


def refused():
    raise AssertionError("counted a second time")


def test_what_one_worker_counted_another_reads(tmp_path):
    first, second = Costs(tmp_path), Costs(tmp_path)
    cost = EditCost(1.5e9, 2**20)
    assert first.of(KIND, lambda: cost) == cost
    assert first.of(KIND, refused) == second.of(KIND, refused) == cost
    other = (*KIND[:-1], 1)
    assert second.of(other, lambda: EditCost(1.0, 2)) == EditCost(1.0, 2)


def test_a_damaged_file_is_counted_again(tmp_path):
    cost = EditCost(1.5e9, 2**20)
    Costs(tmp_path).of(KIND, lambda: cost)
    [file] = tmp_path.iterdir()
    for text in (file.read_text().replace("1048576", "1048577"), "", '{"flops": 1}'):
        file.write_text(text)
        assert Costs(tmp_path).of(KIND, lambda: cost) == cost
        assert Costs(tmp_path).of(KIND, refused) == cost


def test_what_cannot_be_counted_is_not_kept(tmp_path):
    assert Costs(tmp_path).of(KIND, lambda: None) is None
    assert not list(tmp_path.iterdir())
