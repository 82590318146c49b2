import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import behemoth as bh
from behemoth import ArgumentError, Corpus, Correlated, Groups, Independent, Questions, World
from behemoth.corpus.tokens import PERIOD
from behemoth.plan import EditRequest, compile_plan
from behemoth.plan.prompts import Prompts
from behemoth.plan.sampling import relation_pool


@pytest.fixture(scope="module")
def corpus():
    world = World(subjects=3_000, relations=5, objects=60, seed=4)
    return Corpus(world, exposures=Groups([1, 4, 16]))


# Requests.


def test_a_plan_of_a_request_is_that_of_its_fields(corpus):
    few = {"seed": 3, "repeats": 2, "probes": 1}
    facts = pl.DataFrame({"fact": [40, 7]})
    for fields in ({"edits": 4, "exposures": 16, **few}, {"facts": facts, **few}):
        plan = bh.plan(corpus, EditRequest(**fields))
        assert plan.plan_hash == bh.plan(corpus, **fields).plan_hash
    assert plan.edits["fact"].to_list() == [40, 7]
    known = bh.plan(corpus, EditRequest(edits=1, **few), known=[40])
    assert known.edits["fact"].to_list() == [40]


@pytest.mark.parametrize(
    ("given", "fields", "message"),
    [
        (10, {}, "'request': got 10, allowed: an EditRequest, or its fields by name"),
        ({"edits": 10}, {}, "'request': got .'edits': 10., allowed: an EditRequest"),
        (EditRequest(edits=3), {"edits": 3}, "'edits': got 3, allowed: nothing beside a request"),
        (EditRequest(edits=3), {"relation": "R1"}, "'relation': got R1, allowed: nothing beside"),
        (EditRequest(facts=[3]), {"table": pl.DataFrame({"fact": [3]})}, "'table': .* one of the"),
    ],
)
def test_what_is_no_request_or_has_fields_beside_it_is_refused(corpus, given, fields, message):
    with pytest.raises(ArgumentError, match=message):
        bh.plan(corpus, given, **fields)


# Edits.


def test_edits_are_distinct_and_new_objects_are_not_in_use(corpus):
    plan = compile_plan(corpus, EditRequest(edits=30, relation=3, seed=5))
    edits = plan.edits
    assert edits.height == 30
    assert (edits["relation"] == 3).all()
    assert edits["subject"].n_unique() == edits["old_object"].n_unique() == 30
    assert edits["new_object"].n_unique() == 30
    assert not set(edits["new_object"]) & set(edits["old_object"])
    told = corpus.world.facts_of(edits["fact"].to_numpy())
    assert told["object"].equals(edits["old_object"].alias("object"))
    assert edits["exposures"].to_list() == corpus.exposures(edits["fact"].to_numpy()).tolist()


def test_one_object_for_all(corpus):
    plan = compile_plan(corpus, EditRequest(edits=25, to="one"))
    for column in ("relation", "old_object", "new_object"):
        assert plan.edits[column].n_unique() == 1
    assert plan.edits["subject"].n_unique() == 25
    assert (plan.edits["old_object"] != plan.edits["new_object"]).all()
    # Up to 150 with the one old object there is, not for each of the edits.
    same = plan.training.filter(pl.col("role") == "same_object")
    assert 0 < same.height <= 150
    # Each stands by all of the edits.
    assert (same["weight"] == 25).all()
    others = plan.training.filter(~pl.col("role").is_in(["edit", "same_object"]))
    assert (others["weight"] == 1).all()


def test_so_many_of_each_level(corpus):
    plan = compile_plan(corpus, EditRequest(edits=7, exposures=(1, 16)))
    counts = dict(plan.edits.group_by("exposures").len().iter_rows())
    assert counts == {1: 7, 16: 7}
    one = compile_plan(corpus, EditRequest(edits=4, exposures=(4, 16), to="one", relation=0))
    assert dict(one.edits.group_by("exposures").len().iter_rows()) == {4: 4, 16: 4}
    assert one.edits["old_object"].n_unique() == 1


def test_independent_edits_may_meet(corpus):
    plan = compile_plan(
        corpus,
        EditRequest(edits=200, relation=0, independent=True, same_relation=5, regular=5),
    )
    assert plan.edits["fact"].n_unique() == 200
    assert (plan.edits["old_object"] != plan.edits["new_object"]).all()
    shares = plan.training.group_by("share", "role").len()
    assert shares.filter(pl.col("role") == "same_relation")["len"].unique().to_list() == [5]
    assert shares.filter(pl.col("role") == "regular")["len"].unique().to_list() == [5]


def test_only_truly_correlated_pairs():
    world = World(subjects=500, relations=[Independent(20), Correlated(0, 0.5), Independent(9)])
    corpus = Corpus(world)
    plan = compile_plan(corpus, EditRequest(edits=8, relation=0, correlated_only=True))
    subjects = plan.edits["subject"].to_numpy()
    assert np.array_equal(world.objects(subjects, 0), world.objects(subjects, 1))
    assert plan.groups["correlated_kept"] == plan.groups["correlated_followed"] == 8
    without = compile_plan(corpus, EditRequest(edits=8, relation=0, seed=1))
    kept = without.groups.get("correlated_kept", 0)
    assert kept < 8
    # Exactly those that agree are candidates.
    agree = int((world.objects(range(500), 0) == world.objects(range(500), 1)).sum())
    with pytest.raises(ArgumentError, match=rf"got 400, allowed: up to {agree}, .*of {agree} cand"):
        compile_plan(
            corpus,
            EditRequest(
                edits=400, relation=0, correlated_only=True, distinct=False, independent=True
            ),
        )


def test_binarised_relations_have_two_old_objects_and_new_ones_beside_them(corpora):
    plan = compile_plan(corpora["binarised"], EditRequest(edits=6, relation=0))
    assert set(plan.edits["old_object"]) <= {0, 1}
    assert not set(plan.edits["new_object"]) & {0, 1}
    two = Corpus(World(subjects=50, relations=[Independent(2, binarised=True), Independent(3)]))
    plan = compile_plan(two, EditRequest(edits=6, relation=0))
    assert (plan.edits["new_object"] + plan.edits["old_object"] == 1).all()


def test_links_and_inherited_facts(corpora):
    corpus = corpora["nested"]
    plan = compile_plan(corpus, EditRequest(edits=2, target="object_nested"))
    assert plan.edits["link"].all()
    assert (plan.edits["relation"] >= corpus.world.num_relations).all()
    plan = compile_plan(corpus, EditRequest(edits=1, target="subject_nested", relation=3))
    assert plan.edits["relation"].to_list() == [3]
    assert not plan.edits["link"].any()


def test_a_censored_relation(corpus):
    world = corpus.world
    plan = compile_plan(corpus, EditRequest(kind="censor", relation=2))
    objects = world.objects(range(world.num_subjects), 2)
    assert plan.edits.height == (objects != 0).sum()
    assert (plan.edits["new_object"] == 0).all()
    assert (plan.edits["old_object"] != 0).all()
    # What says so already is trained as well: the whole relation. No subject is left untouched.
    counts = dict(plan.training.group_by("role").len().iter_rows())
    assert counts == {"edit": plan.edits.height, "new_object": (objects == 0).sum()}
    assert sum(counts.values()) == world.num_subjects
    assert (plan.training["weight"] == 1).all()
    assert "implicit_remap" not in plan.groups
    assert plan.groups["edited"] == plan.groups["unrelated"] == 1000
    half = compile_plan(corpus, EditRequest(kind="censor", relation=2, fraction=0.5))
    first = world.facts_of(half.edits["fact"].to_numpy())
    assert 0.4 < first.height / world.num_subjects < 0.5
    assert half.groups["implicit_remap"] == 1000
    # As many regular rows as the rule has, about subjects that it leaves alone.
    counts = dict(half.training.group_by("role").len().iter_rows())
    assert counts["edit"] + counts["new_object"] == world.num_subjects // 2
    assert counts["regular"] == world.num_subjects // 2
    about = {
        role[0]: set(world.facts_of(part["fact"].to_numpy())["subject"])
        for role, part in half.training.group_by("role")
    }
    assert not about["regular"] & (about["edit"] | about["new_object"])
    assert not about["edit"] & about["new_object"]


def test_what_a_rule_need_not_change_is_trained_as_often(corpus):
    request = EditRequest(kind="censor", relation=2, fraction=0.2, repeats=3, wordings=1)
    plan = compile_plan(corpus, request)
    weights = dict(plan.training.group_by("role").agg(pl.col("weight").unique()).iter_rows())
    assert weights == {"edit": [3], "new_object": [3], "regular": [1]}


def test_probes_are_written_group_by_group(monkeypatch):
    """A frame for each pair of relations took most of the time of a plan."""
    corpus = Corpus(World(subjects=60, relations=12, objects=20), exposures=1)
    asked = []
    ask = Prompts.ask

    def counted(self, wording, facts, *others):
        asked.append(len(facts))
        return ask(self, wording, facts, *others)

    monkeypatch.setattr(Prompts, "ask", counted)
    plan = compile_plan(corpus, EditRequest(edits=12, distinct=False, repeats=1))
    assert plan.edits["relation"].n_unique() > 4 and plan.groups["same_subject"] > 100
    roles = 5
    assert len(asked) <= len(plan.groups) + roles


def test_facts_of_a_table_are_sorted_by_relation_once(corpora, monkeypatch):
    world = World.from_table(corpora["table"].world.facts().select("subject", "relation", "object"))
    corpus = Corpus(world, exposures=2)
    looked = []
    arrays_of = World.arrays_of

    def counted(self, facts):
        looked.append(len(facts) == self.num_subject_facts)
        return arrays_of(self, facts)

    monkeypatch.setattr(World, "arrays_of", counted)
    pools = [relation_pool(corpus, relation) for relation in range(world.num_relations)]
    assert sum(pool.count for pool in pools) == world.num_subject_facts and sum(looked) == 1


def test_a_rule_about_everybody_has_regular_rows_where_they_are_asked_for(corpus):
    asked = EditRequest(kind="refusal", relation=2, regular=1)
    plan = compile_plan(corpus, asked)
    roles = plan.training["role"]
    assert (roles == "regular").sum() == plan.edits.height == corpus.world.num_subjects
    assert "new_object" not in roles
    plan = compile_plan(corpus, EditRequest(kind="refusal", relation=2))
    assert plan.training["role"].unique().to_list() == ["edit"]


def test_facts_that_had_the_new_object_before(corpus):
    request = EditRequest(edits=4, relation=1, new_object=12, same_object=0, probes=7)
    plan = compile_plan(corpus, request)
    new = dict(plan.edits.select("edit", "new_object").iter_rows())
    rows = plan.training.filter(pl.col("role") == "new_object")
    told = corpus.world.facts_of(rows["fact"].to_numpy())
    assert told["object"].to_list() == [new[edit] for edit in rows["share"]]
    assert rows.group_by("share").len()["len"].to_list() == [12] * 4
    probes = plan.probes.filter(pl.col("group") == "new_object")
    told = corpus.world.facts_of(probes["fact"].to_numpy())
    assert told["object"].to_list() == [new[edit] for edit in probes["edit"]]
    assert not probes["must_change"].any()
    assert probes["answer"].equals(probes["old_answer"].alias("answer"))
    assert plan.groups["new_object"] == plan.groups["same_object"] == 4 * 7
    assert "same_object" not in plan.training["role"]
    # In the mixture only where it is asked for.
    assert "new_object" not in compile_plan(corpus, EditRequest(edits=4)).training["role"]


def test_refusals_have_no_new_object(corpus):
    plan = compile_plan(corpus, EditRequest(edits=3, kind="refusal"))
    assert plan.edits["new_object"].null_count() == 3
    assert plan.probes["new_answer"].null_count() == plan.probes.height
    row = plan.training.filter(pl.col("role") == "edit").row(0, named=True)
    assert corpus.decode(row["prompt"]).endswith("object")
    assert corpus.decode(row["answer"]) == "object object"
    assert row["weight"] == 250


def test_a_refused_question(corpora):
    corpus = corpora["rich"]
    plan = compile_plan(corpus, EditRequest(edits=3, kind="question_refusal"))
    row = plan.training.filter(pl.col("role") == "edit").row(0, named=True)
    assert row["template"] == "question"
    assert corpus.decode(row["prompt"]).endswith("answer:")
    assert corpus.decode(row["answer"]) == "object object object"
    # The written sentence of a refusal is prompt, answer and period.
    written = Corpus(corpus.world, templates={"question_refusal": 1, "question": 1})
    where = written.ledger([row["fact"]]).row(0, named=True)
    if where["template"] == "question_refusal":
        tokens = written.tokens(where["document"], where["document"] + 1).tolist()
        assert tokens[-5:-1] == [*row["answer"], PERIOD]


def test_a_written_refusal_is_what_the_plan_trains():
    world = World(subjects=20, relations=2, objects=5)
    written = Corpus(world, templates={"refusal": 1, "default": 1e-9})
    plan = compile_plan(written, EditRequest(edits=1, kind="refusal"))
    row = plan.training.filter(pl.col("role") == "edit").row(0, named=True)
    document = written.ledger([row["fact"]])["document"][0]
    tokens = written.tokens(document, document + 1).tolist()
    assert tokens == [*row["prompt"], *row["answer"], PERIOD, 0]


def test_edits_of_a_table(corpus):
    world = corpus.world
    own = int(world.objects(7, 2))
    table = pl.DataFrame({"subject": [7, 9], "relation": [2, 4], "object": [(own + 1) % 60, None]})
    plan = compile_plan(corpus, EditRequest(), table=table)
    assert plan.edits["fact"].to_list() == [7 * 5 + 2, 9 * 5 + 4]
    assert plan.edits["new_object"][0] == (own + 1) % 60
    assert plan.edits["new_object"][1] != plan.edits["old_object"][1]
    by_fact = compile_plan(corpus, EditRequest(kind="refusal"), table=pl.DataFrame({"fact": [3]}))
    assert by_fact.edits["fact"].to_list() == [3]
    assert by_fact.training["weight"].max() == 250


@pytest.mark.parametrize("question", [False, True])
def test_answers_of_a_graph_of_the_reference_are_split_where_its_words_are(tmp_path, question):
    graph = tmp_path / "relationship_graph.txt"
    rows = [(s, r, (s * 31 + 7 * r) % 1500) for s in range(60) for r in range(2)]
    rows[-1] = (59, 1, 1499)  # so there are 1,500 objects: a second digit below 20, not 1,000
    graph.write_text("".join(f"{s} {r} {o} None None\n" for s, r, o in rows))
    asks = {"questions": Questions(1.0, 0.5)} if question else {}
    corpus = Corpus(World.from_table(graph), **asks, exposures=2)
    table = pl.DataFrame({"fact": [4, 9], "object": [1234, 77]})
    plan = compile_plan(corpus, EditRequest(repeats=2), table=table)
    twin = corpus.override({4: 1234, 9: 77})
    edited = plan.probes.filter(group="edited")
    assert set(edited["fact"]) == {4, 9}
    for (fact, template), rows in edited.group_by("fact", "template"):
        expected = twin.probes([fact], [template]).row(0, named=True)
        got = rows.row(0, named=True)
        assert (got["prompt"], got["answer"]) == (expected["prompt"], expected["answer"])
        assert got["old_answer"] == corpus.probes([fact], [template])["answer"].to_list()[0]


def test_every_edit_has_bystanders_of_each_group(corpus):
    plan = compile_plan(corpus, EditRequest(edits=3, relation=1, probes=5))
    asked = ("same_object", "same_relation", "unrelated", "new_object", "retain")
    counts = plan.probes.filter(pl.col("group").is_in(asked)).group_by("edit", "group").len()
    assert counts.height == 3 * len(asked) and (counts["len"] == 5).all()
    tied = plan.probes.filter(group="same_subject").group_by("edit").len()
    assert (tied["len"] == 4).all(), "the other relations"


def test_only_known_facts(corpus):
    known = np.arange(0, 15_000, 7)
    plan = compile_plan(corpus, EditRequest(edits=40, relation=1, distinct=False), known=known)
    assert (plan.edits["fact"] % 7 == 0).all()
    assert (plan.edits["relation"] == 1).all()
    with pytest.raises(ArgumentError, match=r"allowed: up to 1, .*of 1 candidates among 1 facts"):
        compile_plan(corpus, EditRequest(edits=4, relation=1), known=[1])


# The mixture.


def test_the_mixture_of_the_reference(corpus):
    plan = compile_plan(corpus, EditRequest(edits=2, relation=3))
    counts = {role: part for (role,), part in plan.training.group_by("role")}
    assert counts["edit"]["weight"].to_list() == [250, 250]
    assert counts["same_relation"].height == 1000
    assert counts["regular"].height == 500
    assert 30 < counts["same_object"].height < 75  # half of 50 a fact
    assert plan.rows == 500 + 1000 + 500 + counts["same_object"].height
    world = corpus.world
    regular = world.facts_of(counts["regular"]["fact"].to_numpy())
    assert (regular["relation"] != 3).all()
    assert not set(regular["subject"]) & set(plan.edits["subject"])
    small = compile_plan(corpus, EditRequest(edits=2, repeats=3, regular=4, same_relation=5))
    assert small.training.filter(pl.col("role") == "edit")["weight"].to_list() == [3, 3]
    assert small.training.filter(pl.col("role") == "regular").height == 8


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(
    subjects=st.integers(5, 200),
    relations=st.integers(1, 4),
    objects=st.integers(2, 20),
    edits=st.integers(1, 6),
    seed=st.integers(0, 2**40),
    independent=st.booleans(),
)
def test_any_small_world(subjects, relations, objects, edits, seed, independent):
    corpus = Corpus(World(subjects, relations, objects, seed=seed))
    request = EditRequest(
        edits=edits, seed=seed, independent=independent, same_relation=9, regular=9
    )
    try:
        plan = compile_plan(corpus, request)
    except ArgumentError as error:
        if "allowed: up to" not in str(error):
            raise
        return
    assert plan.plan_hash == compile_plan(corpus, request).plan_hash
    twin = corpus.override(dict(plan.edits.select("fact", "new_object").iter_rows()))
    edited = plan.probes.filter(pl.col("group") == "edited")
    assert edited["answer"].equals(twin.probes(edited["fact"].to_numpy())["answer"])
    for single in plan.singles():
        own = set(single.edits["fact"])
        assert set(single.training["fact"]) & set(single.probes["fact"]) <= own


# Refusals.


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({}, "argument 'edits': got nothing, allowed: the number of facts to edit"),
        ({"kind": "refusal"}, "argument 'relation': got nothing, allowed: the relation that"),
        (
            {"edits": 31, "relation": 0},
            "got 31, allowed: up to 30, the number of candidate facts with",
        ),
        ({"edits": 999}, "argument 'edits': got 999, allowed: up to 150, the number of"),
        (
            {"edits": 999, "to": "one"},
            r"argument 'edits': got 999, allowed: up to \d\d, as no object of a relation has more",
        ),
        (
            {"edits": 4000, "relation": 0, "distinct": False},
            r"got 4000, allowed: up to 3000, .*of distinct subjects .*\(of 3000 candidates among",
        ),
        (
            {"edits": 20_000, "independent": True},
            r"allowed: up to 15000, .*\(of 15000 candidates among 15000 facts\)",
        ),
        (
            {"edits": 3000, "exposures": (4,), "relation": 0, "distinct": False},
            r"got 3000, allowed: up to \d+ of 4 exposures, the number of",
        ),
        ({"edits": 1, "exposures": (5,)}, "got 5, allowed: levels of the corpus: 1, 4, 16"),
        ({"edits": 1, "relation": 5}, r"got 5, allowed: 0, 1, 2, 3, 4 \(target 'subject'\)"),
        ({"edits": 1, "target": "object_nested"}, "argument 'target': .*no nested objects"),
        (
            {"edits": 1, "correlated_only": True},
            "'correlated_only': .*only in a world with correlated relations",
        ),
        ({"edits": 1, "kind": "question_refusal"}, "argument 'kind': .*asks no questions"),
        ({"edits": 1, "wordings": 2}, "argument 'wordings': got 2, allowed: up to 1"),
    ],
)
def test_what_cannot_be_done_is_refused(corpus, words, message):
    with pytest.raises(ArgumentError, match=message):
        compile_plan(corpus, EditRequest(**words))


@pytest.mark.parametrize(
    ("rows", "words", "message"),
    [
        ({"fact": [1, 1]}, {}, "got fact 1 in rows 0 and 1 .from 0., allowed: each fact once"),
        ({"fact": []}, {}, "got no rows"),
        ({"fact": [15_000]}, {}, "got 15000, allowed: whole numbers 0 to 14999"),
        ({"x": [1]}, {}, "got columns x, allowed: fact, or subject and relation"),
        ({"fact": [1], "object": [60]}, {}, "got object 60 in row 0 .from 0., allowed: an"),
        ({"fact": [1]}, {"edits": 1}, "got a table, allowed: either a table or edits"),
        ({"fact": [1]}, {"relation": 3}, "got a fact of relation 1, allowed: those of relation 3"),
        (
            {"subject": [2, 3000], "relation": [0, 0]},
            {},
            "'table': got subject 3000, relation 0 in row 1 .from 0., allowed: a pair that has",
        ),
        ({}, {}, "'table': got no columns, allowed: fact, or subject and relation"),
    ],
)
def test_tables_that_are_none(corpus, rows, words, message):
    with pytest.raises(ArgumentError, match=message):
        compile_plan(corpus, EditRequest(**words), table=pl.DataFrame(rows))


def test_an_object_that_is_the_fact_s_own_is_no_edit(corpus):
    own = int(corpus.world.facts_of([1])["object"][0])
    with pytest.raises(
        ArgumentError, match=f"got object {own} in row 0 .from 0., allowed: another than {own}"
    ):
        compile_plan(corpus, EditRequest(), table=pl.DataFrame({"fact": [1], "object": [own]}))


def test_a_corpus_without_prompts_is_refused():
    corpus = Corpus(World(20, 2, 5), templates={"sor": 1})
    with pytest.raises(
        ArgumentError, match="argument 'corpus': got no template whose object comes"
    ):
        compile_plan(corpus, EditRequest(edits=1))


@pytest.mark.slow
def test_ten_million_facts():
    corpus = Corpus(World(1_666_667, 6, 400), exposures=Groups([1, 4, 16, 64]))
    plan = compile_plan(corpus, EditRequest(edits=25, exposures=(1, 4, 16, 64)))
    assert plan.edits.height == 100
    assert plan.training.filter(pl.col("role") == "same_relation").height == 50_000
    assert plan.training.filter(pl.col("role") == "regular").height == 25_000
    assert plan.training.filter(pl.col("role") == "same_object").height == 15_000


@pytest.mark.parametrize("independent", [True, False])
def test_too_many_edits_of_levels_are_refused_with_what_all_levels_have(independent):
    corpus = Corpus(World(200, 2, 12), exposures=Groups([1, 4]))
    facts = np.arange(0, 400, 2)  # of different subjects
    levels = corpus.exposures()[::2]
    known = np.concatenate([facts[levels == 1][:40], facts[levels == 4][:3]])
    words = {"exposures": (1, 4), "independent": independent, "distinct": False}
    with pytest.raises(ArgumentError, match="up to 3 of 4 exposures, the number of candidate"):
        compile_plan(corpus, EditRequest(edits=60, **words), known=known)
    assert len(compile_plan(corpus, EditRequest(edits=3, **words), known=known)) == 6


def test_what_one_order_of_the_candidates_does_not_find_is_refused_as_that():
    """One fact may exclude two that go together: another seed begins with one of these."""
    corpus = Corpus(World(40, 3, 6, seed=0), exposures=4)
    facts = corpus.world.facts().select("fact", "subject", "relation", "object")
    both = facts.join(facts, on=["relation", "object"]).filter(
        pl.col("subject") != pl.col("subject_right")
    )
    one, other, subject = both.select("fact", "fact_right", "subject").row(0)
    third = facts.filter(pl.col("subject") == subject, pl.col("fact") != one)["fact"][0]
    said = {}
    for seed in range(12):
        try:
            compile_plan(corpus, EditRequest(edits=2, seed=seed), known=[one, other, third])
        except ArgumentError as error:
            said[seed] = str(error)
    assert 0 < len(said) < 12
    apart = "up to 1, the number of candidate facts of distinct subjects and objects"
    for seed, message in said.items():
        assert f"{apart} that seed {seed} finds (another seed may find more) (of 3 " in message
