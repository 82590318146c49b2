"""Methods that locate: what one edit keeps for those after it, and how far an edit has come."""

import pytest

from behemoth.edit.methods.alphaedit import AlphaEdit
from behemoth.edit.methods.emmet import Emmet
from behemoth.edit.methods.memit import Memit
from behemoth.edit.methods.rome import Rome
from behemoth.edit.protocol import EditContext

FEW = {"layers": (1,), "steps": 4, "samples": 2_000, "prefixes": 1, "kept": 1}


@pytest.fixture
def context(small_corpus):
    return EditContext(small_corpus)


def answer_tokens(plan):
    """Of all edits: each has a key of its own."""
    return plan.training.filter(role="edit").unique("edit")["answer"].list.len().sum()


def test_alphaedit_keeps_the_keys_of_earlier_edits(network, compiled, context):
    plans = [compiled(2, seed=1), compiled(1, seed=2)]
    method = AlphaEdit(**FEW)
    sequence = method.in_sequence(network, context)
    counts = []
    for plan in plans:
        assert sequence(plan).failure is None
        counts.append(len(sequence.memory()["1"]))
    assert counts == [answer_tokens(plans[0]), sum(map(answer_tokens, plans))]


@pytest.mark.parametrize("method", [Rome, Memit, Emmet])
def test_no_keys_are_kept_for_methods_that_use_none(network, compiled, context, method):
    """They were copied after every edit and written to every point of a sequence."""
    sequence = method(**FEW).in_sequence(network, context)
    assert sequence(compiled(1, seed=1)).failure is None
    assert sequence.memory() == {}


def test_alphaedit_disturbs_earlier_facts_less_with_memory(network, compiled, context):
    method = AlphaEdit(**FEW, energy=0.5, damping=1e-3)
    first, second = compiled(3, seed=1), compiled(3, seed=2)
    sequence = method.in_sequence(network, context)
    sequence(first)
    earlier = sequence.memory()["1"].clone()
    held = sequence(second)
    [free] = method.apply(network, [second], context)
    [name] = held.changes
    moved = [(delta.changes[name].to_dense().double() @ earlier.T).norm() for delta in (held, free)]
    assert moved[0] < moved[1]


def test_progress_of_an_edit_never_goes_back(network, compiled, small_corpus, monkeypatch):
    """Covariances and the search for target vectors each ran to the end of the same bar."""
    monkeypatch.setattr("behemoth.edit.locate.target._CHUNK", 1)  # sites one after another
    seen = []
    context = EditContext(
        small_corpus, progress=lambda done, total, _=None, /: seen.append(done / total)
    )
    Memit(**FEW).apply(network, [compiled(3)], context)
    assert len(seen) > 3
    assert seen == sorted(seen)
    assert seen[-1] == 1
