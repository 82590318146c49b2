"""Bystanders: facts that no edit changes or puts in doubt, as many as there are or asked for."""

import polars as pl
import pytest

from behemoth import (
    Composed,
    Corpus,
    Correlated,
    Independent,
    Inverse,
    OneToOne,
    World,
)
from behemoth.plan import EditRequest, compile_plan
from behemoth.plan.groups import FOLLOWING


def _edits(plan):
    return {row["edit"]: row for row in plan.edits.iter_rows(named=True)}


@pytest.mark.parametrize("independent", [True, False])
@pytest.mark.parametrize("relation", [0, 1, 3])
def test_facts_in_doubt_are_no_bystanders_where_inverses_have_relatives(relation, independent):
    """All inverses of one relation say the same, and what is composed of them follows them."""
    relations = [OneToOne(), Inverse(0), Composed(1, 6), Inverse(0), Independent(10)]
    corpus = Corpus(World(60, relations, seed=1), exposures=4)
    request = EditRequest(
        edits=8, relation=relation, independent=independent, probes=20, repeats=4, regular=40
    )
    plan = compile_plan(corpus, request)
    doubted = set()
    for edit in plan.edits.rows(named=True):
        subject, objects = edit["subject"], (edit["old_object"], edit["new_object"])
        if relation == 0:
            own = {(object_, other) for object_ in objects for other in (1, 2, 3)}
        else:
            own = {(object_, 0) for object_ in objects} | {(subject, 4 - relation), (subject, 2)}
        doubted |= own
        mine = plan.probes.filter(pl.col("edit") == edit["edit"], ~pl.col("must_change"))
        mine = mine.filter(pl.col("group") != "subject_nested")
        asked = set(mine.select("subject", "relation").rows())
        assert asked and not asked & own
    if not independent:
        kept = plan.training.filter(pl.col("role") != "edit")["fact"].to_numpy()
        there = corpus.world.arrays_of(kept)
        pairs = zip(there.subject.tolist(), there.relation.tolist(), strict=True)
        assert not doubted & set(pairs)


def test_what_is_composed_of_a_correlated_fact_that_agrees_is_no_bystander():
    """The correlated fact is asked both ways, so what is composed of it may follow or stay."""
    relations = [Independent(12), Correlated(0, 0.8), Composed(1, 4)]
    corpus = Corpus(World(100, relations, seed=0), exposures=4)
    plan = compile_plan(corpus, EditRequest(edits=10, relation=0, independent=True, repeats=2))
    followed = plan.probes.filter(group="correlated_followed")["edit"]
    asked = plan.probes.filter(group="same_subject", relation=2)["edit"]
    assert len(followed) and len(asked) and not set(followed) & set(asked)


def test_bystanders_are_as_many_as_there_are_or_as_asked_for(corpora, brute):
    corpus = corpora["plain"]
    plan = compile_plan(corpus, EditRequest(edits=3, relation=1, same_object=4, probes=6))
    listed = brute(corpus).frame
    subjects = plan.edits["subject"]
    for edit in _edits(plan).values():
        same = listed.filter(
            (pl.col("relation") == 1)
            & (pl.col("object") == edit["old_object"])
            & ~pl.col("subject").is_in(subjects.implode())
        ).height
        mine = plan.single(edit["edit"])
        trained = mine.training.filter(pl.col("role") == "same_object").height
        asked = mine.probes.filter(pl.col("group") == "same_object").height
        assert trained <= 4 and asked <= 6
        full = compile_plan(
            corpus, EditRequest(edits=3, relation=1, same_object=1000, probes=1000)
        ).single(edit["edit"])
        all_trained = full.training.filter(pl.col("role") == "same_object").height
        all_asked = full.probes.filter(pl.col("group") == "same_object").height
        assert all_trained + all_asked == same
        assert trained == min(4, all_trained)
        assert asked == min(6, all_asked)


@pytest.mark.parametrize("world", ["nested", "rich"])
def test_what_follows_from_another_edit_is_no_bystander(corpora, brute, world):
    """Of several facts of a subject and links, no edit keeps what another one changes."""
    known = brute(corpora[world])
    edited = [known.ids[r, s] for r in (0, 1) for s in (3, 4, 5)]
    link = next(r for r, row in enumerate(known.table) if row["link"] and row["of"] == 0)
    edited += [known.ids[link, known.facts[known.ids[0, s]]["object"]] for s in (20, 21)]
    edited += [known.ids[1, s] for s in (20, 21)]  # each inherits through one of the links
    table = pl.DataFrame({"fact": edited})
    plan = compile_plan(known.corpus, EditRequest(probes=40), table=table)
    twin = known.twin(_edits(plan).values())
    stay = plan.probes.filter(~pl.col("must_change"))
    rows = plan.training.filter(pl.col("role") != "edit")
    for fact in {*stay["fact"], *rows["fact"]}:
        assert twin[fact] == known.facts[fact]["object"]
    assert {"same_subject", "unrelated", "retain"} <= set(stay["group"])
    followed = plan.probes.filter(pl.col("group").is_in(FOLLOWING), pl.col("must_change"))
    both = stay.filter(
        pl.col("fact").is_in(followed["fact"].implode()), pl.col("group") != "correlated_kept"
    )
    assert both.is_empty()
    apart = compile_plan(known.corpus, EditRequest(probes=1, independent=True), table=table)
    assert set(apart.probes.filter(group="same_subject")["fact"]) > set(
        stay.filter(group="same_subject")["fact"]
    )
