import numpy as np
import polars as pl
import pytest

from behemoth import ArgumentError, Corpus, World
from behemoth.plan.request import EditRequest
from behemoth.study.file.spec import Study
from behemoth.study.file.swap import swapped_pairs
from behemoth.study.file.units import TrialUnit
from behemoth.study.trial.laboratory import compile_unit

LEVELS = (1, 4, 16, 64)


@pytest.fixture(scope="module")
def square():
    """A Latin square: every subject has each level once."""
    return Corpus(World(subjects=60, relations=4, objects=6, seed=2), exposures="latin:1,4,16,64")


def test_pairs_are_of_one_subject_and_half_of_the_levels_apart(square):
    request = EditRequest(edits=5, exposures=LEVELS, independent=True)
    pairs = np.array(swapped_pairs(square, request, 16))
    assert len(np.unique(pairs)) == 32
    subjects = square.world.facts_of(pairs.ravel())["subject"].to_numpy().reshape(-1, 2)
    assert (subjects[:, 0] == subjects[:, 1]).all()
    exposures = square.exposures(pairs.ravel()).reshape(-1, 2)
    apart = {1: 16, 4: 64, 16: 1, 64: 4}
    assert [apart[low] for low in exposures[:, 0].tolist()] == exposures[:, 1].tolist()
    # Of all levels as many, so that half of the edits go up.
    assert np.unique(exposures[:, 0], return_counts=True)[1].tolist() == [4, 4, 4, 4]


def test_nothing_but_these_facts_moves(square):
    request = EditRequest(edits=5, exposures=LEVELS, independent=True)
    pairs = swapped_pairs(square, request, 8)
    twin = square.exchanged(pairs)
    facts = np.arange(square.world.num_facts, dtype=np.uint64)
    before, after = square.exposures(facts), twin.exposures(facts)
    assert set(facts[before != after].tolist()) == {fact for pair in pairs for fact in pair}
    for one, other in pairs:
        assert (after[one], after[other]) == (before[other], before[one])
    for subject in range(60):
        own = square.world.fact_ids(subject, np.arange(4))
        assert square.exposures(own).sum() == twin.exposures(own).sum() == sum(LEVELS)
    assert twin.num_sentences == square.num_sentences
    assert twin.world.spec == square.world.spec


def test_a_table_may_lack_facts_of_a_subject():
    rows = [(s, r, (s + r) % 5) for s in range(60) for r in range(4) if r < 3 or s % 2]
    table = pl.DataFrame(rows, schema=["subject", "relation", "object"], orient="row")
    corpus = Corpus(World.from_table(table), exposures=[LEVELS[r] for _, r, _ in rows])
    request = EditRequest(edits=2, exposures=LEVELS, independent=True)
    pairs = np.array(swapped_pairs(corpus, request, 8))
    subjects = corpus.world.facts_of(pairs.ravel())["subject"].to_numpy()
    assert (subjects % 2 == 0).any() and len(np.unique(pairs)) == 16


def test_facts_are_exchanged_once(square):
    for pairs in ([[0, 1], [1, 2]], [[0, 10**6]]):
        with pytest.raises(
            ArgumentError, match=r"argument 'pairs': got .* allowed: facts below 240"
        ):
            square.exchanged(pairs)


@pytest.mark.parametrize("pairs", [7, [1, 2, 3], [1, 2], [[1, 2, 3], [4, 5, 6]], [[[1, 2]]]])
def test_pairs_have_two_facts_each(square, pairs):
    with pytest.raises(ArgumentError, match=r"'pairs': got an array of shape .*: \(n, 2\)"):
        square.exchanged(pairs)


def test_a_corpus_that_omits_facts_exchanges_none(square):
    # Exposures of the omitted fact are 0 there, and its pair would move every other document.
    with pytest.raises(ArgumentError, match=r"'pairs': got facts of a corpus that omits some, all"):
        square.without([5]).exchanged([[0, 1]])
    twin = square.exchanged([[0, 1]])
    assert twin.without([5]).num_documents == square.without([5]).num_documents
    both = square.override({5: 1}).exchanged([[0, 1]])
    assert both.num_sentences == square.num_sentences


def test_links_with_numbers_of_their_own_keep_them():
    world = World(subjects=6, relations=1, objects=4, nested=2)
    numbers = np.arange(1, world.num_facts + 1)
    twin = Corpus(world, exposures=numbers).exchanged([[0, 5]])
    numbers[[0, 5]] = numbers[[5, 0]]
    assert twin.exposures_array.tolist() == numbers.tolist()
    assert twin.num_sentences == numbers.sum()


def test_exposures_beyond_a_table_of_them_are_refused():
    world = World(subjects=4, relations=1, objects=2)
    most = 2**32 - 1
    assert (
        Corpus(world, exposures=most).exchanged([[0, 1]]).exposures([0, 1]).tolist() == [most] * 2
    )
    with pytest.raises(
        ArgumentError, match="'exposures': got 4294967296, allowed: whole numbers 0 to 4294967295"
    ):
        Corpus(world, exposures=2**32).exchanged([[0, 1]])


def test_more_pairs_than_there_are_edits(square):
    request = EditRequest(edits=2, exposures=LEVELS, independent=True)
    with pytest.raises(ArgumentError, match=r"argument 'corpus.swap': got 9, allowed: up to [78]"):
        swapped_pairs(square, request, 9)


SQUARE = """
name = "square"
[world]
subjects = 30
relations = 2
objects = 5
[corpus]
exposures = "latin:1,8"
[train]
model = "nano"
steps = 2
[plan]
independent = true
edits = 4
exposures = [1, 8]
repeats = 1
[[method]]
name = "lora"
[grid]
"corpus.swap" = [0, 4]
"""


def test_only_what_moved_is_edited():
    found = Study.parse(SQUARE).expand()
    units = list(found.models.values())
    plans = [
        compile_unit(trial.plan, unit.corpus.make())
        for trial, unit in zip(found.trials, units, strict=True)
    ]
    own, moved = (plan.edits for plan in plans)
    assert (own.height, moved.height) == (8, 4)
    both = own.join(moved, on="fact")
    assert both.height == 4 and (both["new_object"] == both["new_object_right"]).all()
    assert sorted(both["exposures"]) == [1, 1, 8, 8]
    assert (both["exposures"] + both["exposures_right"] == 9).all()


@pytest.mark.parametrize("name", ["swap", "rotation"])
def test_correlated_facts_keep_their_edits_in_a_twin(name):
    text = SQUARE.replace("relations = 2\nobjects = 5", CORRELATED).replace("swap", name)
    text = text.replace("edits = 4", "edits = 4\nrelation = 1\ncorrelated_only = true")
    found = Study.parse(text.replace("[0, 4]", "[0, 1]")).expand()
    own, moved = (
        set(compile_unit(trial.plan, found.models[trial.model].corpus.make()).edits["fact"])
        for trial in found.trials
    )
    assert len(own) == 8 and len(moved) == (8 if name == "rotation" else 1) and moved <= own


CORRELATED = """
relations = 2
objects = 5
correlated = { strength = 0.9 }
"""


def test_a_study_has_swaps():
    found = Study.parse(SQUARE).expand()
    straight, swapped = found.trials
    assert (straight.swap, swapped.swap) == (0, 4)
    assert swapped.plan.moved and swapped.plan.chosen_in is not None
    units = list(found.models.values())
    assert len(units[1].corpus.exchanged) == 4 and units[0].corpus.exchanged is None
    assert units[1].corpus.make().spec_hash != units[0].corpus.make().spec_hash
    assert TrialUnit.from_dict(swapped.to_dict()) == swapped
    alone = Study.parse(SQUARE.replace('\n[grid]\n"corpus.swap" = [0, 4]', "")).expand()
    assert alone.trials[0].id == straight.id


@pytest.mark.parametrize("own", ["seed = 1", "edits = 1"])
def test_a_plan_of_a_method_that_chooses_other_facts_is_refused(own):
    """The facts that were swapped would be left out, and none of those it chooses has moved."""
    text = SQUARE.replace('name = "lora"', f'name = "lora"\nplan = {{ {own} }}')
    with pytest.raises(ArgumentError, match=r"'corpus.swap': got 4, allowed: 0 for 'lora', whose"):
        Study.parse(text).expand()
    Study.parse(SQUARE.replace('name = "lora"', 'name = "lora"\nplan = { repeats = 2 }')).expand()


@pytest.mark.parametrize("value", ["-1", "true", '"many"'])
def test_swaps_are_whole_numbers(value):
    with pytest.raises(
        ArgumentError, match=r"argument 'corpus.swap': got .*, allowed: a whole num"
    ):
        Study.parse(SQUARE.replace("[0, 4]", f"[{value}]"))
