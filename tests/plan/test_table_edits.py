"""Edits that a frame gives, in the request itself."""

import re
from decimal import Decimal

import polars as pl
import pytest

import behemoth as bh
from behemoth import ArgumentError, Corpus, Grammar, World
from behemoth.plan import PlanWarning

SMALL = {"repeats": 2, "same_object": 2, "same_relation": 2, "regular": 2, "probes": 1}


@pytest.fixture(scope="module")
def corpus():
    return Corpus(World(subjects=60, relations=3, objects=12, seed=2), exposures=2)


def test_facts_of_a_request_are_the_table_of_a_plan(corpus):
    facts = pl.DataFrame({"subject": [7, 9], "relation": [2, 1], "object": [3, None]})
    by_table = bh.plan(corpus, table=facts, **SMALL)
    for given in (facts, facts.to_dict(as_series=False)):
        plan = bh.plan(corpus, facts=given, **SMALL)
        assert plan.plan_hash == by_table.plan_hash
    compiled = bh.plan.compile_plan(corpus, bh.EditRequest(facts=facts, **SMALL))
    assert compiled.plan_hash == by_table.plan_hash
    assert plan.edits.select("subject", "relation").rows() == [(7, 2), (9, 1)]
    assert plan.edits["new_object"][0] == 3


def test_facts_that_go_to_one_object_had_one_before(corpus):
    """Rows that retain the old object are weighted as ones of all edits."""
    facts = corpus.world.facts()
    first = facts.filter(relation=0, object=facts.filter(relation=0)["object"][0])["fact"][:2]
    bh.plan(corpus, facts=first.to_list(), to="one", **SMALL)
    before = facts.filter(fact=first[0])["object"].item()
    other = facts.filter(pl.col("relation") == 0, pl.col("object") != before)["fact"][0]
    with pytest.raises(ArgumentError, match="facts of 2 pairs of a relation and an object, allow"):
        bh.plan(corpus, facts=[*first, other], to="one", **SMALL)


def test_a_list_of_numbers_will_do(corpus):
    plan = bh.plan(corpus, facts=[23, 28], **SMALL)
    assert plan.plan_hash == bh.plan(corpus, facts={"fact": [23, 28]}, **SMALL).plan_hash


def test_facts_that_are_never_written_are_warned_of():
    corpus = Corpus(World(subjects=60, relations=3, objects=12), exposures="groups:0,4")
    never = corpus.world.facts()["fact"].filter(corpus.exposures(range(180)) == 0).to_list()
    with pytest.warns(PlanWarning, match="never writes 2 of the 3 facts to edit"):
        bh.plan(corpus, facts=[*never[:2], (set(range(180)) - set(never)).pop()], **SMALL)
    with pytest.warns(PlanWarning, match="never writes 4 of the 4 facts to edit"):
        bh.plan(corpus, edits=4, exposures=0, **SMALL)


@pytest.mark.parametrize("seed", range(8))
def test_drawn_objects_are_none_of_those_given_beside_them(corpus, seed):
    rows = corpus.world.facts().filter(pl.col("object") < 4, relation=1).head(6)
    facts = {"fact": rows["fact"], "object": [6, None, 9, None, None, 4]}
    new = bh.plan(corpus, facts=facts, seed=seed, **SMALL).edits["new_object"].to_list()
    assert (new[0], new[2], new[5]) == (6, 9, 4)
    assert len(set(new)) == 6 and not set(new) & set(rows["object"])


def test_drawn_objects_recur_where_those_given_leave_none(corpus):
    rows = corpus.world.facts().filter(pl.col("object") > 0, relation=1).unique("object")
    rows = rows.sort("object")  # of 12 objects, 0 alone is none of theirs
    facts = {"fact": rows["fact"], "object": [0, *[None] * 10]}
    new = bh.plan(corpus, facts=facts, **SMALL).edits["new_object"].to_list()
    assert new == [0] * 11


def test_such_a_plan_is_saved_like_others(corpus, tmp_path):
    plan = bh.plan(corpus, facts={"fact": [4]}, kind="refusal", out=tmp_path / "plan", **SMALL)
    again = bh.load(tmp_path / "plan")
    assert again.plan_hash == plan.plan_hash and again.request == plan.request
    assert again.edits["fact"].to_list() == [4]


def test_names_will_do_where_there_are_names():
    columns = ("subject", "relation", "object")
    rows = [
        (f"p{subject}", relation, f"o{(subject + number) % 5}")
        for subject in range(30)
        for number, relation in enumerate(("home", "job"))
    ]
    corpus = Corpus(World.from_table(pl.DataFrame(rows, schema=columns, orient="row")))
    facts = {"subject": ["p7", "p3"], "relation": ["job", "home"], "object": ["o4", None]}
    plan = bh.plan(corpus, facts=facts, **SMALL)
    named = corpus.world.named(plan.edits)
    assert named["subject_name"].to_list() == facts["subject"]
    assert named["relation_name"].to_list() == facts["relation"]
    assert named["new_object_name"][0] == "o4"


def test_a_row_of_a_csv_is_the_same_edit_whatever_the_others_are(tmp_path):
    floors = ("1", "2", "3", "attic")
    rows = [(f"P{n}", "floor", floors[n % 4]) for n in range(400)]
    rows += [(f"P{n}", "likes", ("tea", "rum")[n % 2]) for n in range(400)]
    frame = pl.DataFrame(rows, schema=["subject", "relation", "object"], orient="row")
    corpus, file = Corpus(World.from_table(frame)), tmp_path / "edits.csv"

    def edits(*rows, header="subject,relation,object"):
        file.write_text("\n".join([header, *rows]))
        named = corpus.world.named(bh.plan(corpus, table=file, **SMALL).edits)
        return named["new_object_name"].to_list()

    refused = (
        "'table': got 2 as object in row 0 .from 0. of a CSV, also a name, allowed: names in a"
    )
    for alone in (["P0,floor,2"], ["P0,floor,2", "P1,floor,"]):
        with pytest.raises(ArgumentError, match=refused):
            edits(*alone)
    assert edits("P0,floor,2", "P2,likes,rum") == ["2", "rum"]
    # More rows of numbers than types are told from by default.
    many = [f"P{n},floor,2" for n in range(0, 396, 4)]
    assert (
        edits(*many, *[f"P{n},floor,3" for n in range(1, 20, 4)], "P2,floor,attic")[-1] == "attic"
    )
    assert edits("P0,likes,0") == ["rum"], "no name is 0"
    assert edits("P0,likes,0.0", "P2,likes,") == ["rum", "rum"]
    typed = pl.DataFrame({"subject": ["P0"], "relation": ["floor"], "object": ["2"]})
    for own, name in ((typed, "2"), (typed.with_columns(object=2), "3")):
        own.write_parquet(tmp_path / "edits.parquet")
        for table in (own, tmp_path / "edits.parquet"):
            plan = bh.plan(corpus, table=table, **SMALL)
            assert corpus.world.named(plan.edits)["new_object_name"].item() == name
    # Without objects that are read, numbers are nobody's name.
    file.write_text("subject,relation,object\nP0,floor,2\n")
    assert len(bh.plan(corpus, table=file, kind="refusal", **SMALL)) == 1


def test_refusals_say_the_names_that_the_world_has():
    rows = {"subject": ["Jon Snow", "Arya"], "relation": "lives in", "object": ["Kyoto", "Rome"]}
    corpus = Corpus(World.from_table(pl.DataFrame(rows)))
    jon, arya = (dict(zip(rows, own, strict=True)) for own in pl.DataFrame(rows).rows())
    for facts, match in (
        ([{**arya, "object": "Kyoto"}, jon], "object 'Kyoto' in row 1 (from 0), allowed: another "
         "than 'Kyoto', the fact's own"),
        ([arya, jon, jon], "fact 'Jon Snow', 'lives in' in rows 1 and 2 (from 0), allowed: each f"),
    ):  # fmt: skip
        with pytest.raises(ArgumentError, match=re.escape(f"got {match}")):
            bh.plan(corpus, facts=pl.DataFrame(facts), **SMALL)
    with pytest.raises(ArgumentError, match="got fact 'Arya', 'lives in' of 1 that are not known"):
        bh.plan(corpus, facts=pl.DataFrame([arya]), known=[1], **SMALL)


def test_a_frame_of_facts_has_no_new_objects():
    corpus = Corpus(World(60, 2, 6))
    facts = corpus.world.facts(3, 5)
    said = ", the fact's own, below 6, or no column object, without which new objects are drawn"
    with pytest.raises(ArgumentError, match=said):
        bh.plan(corpus, facts=facts, **SMALL)
    assert bh.plan(corpus, facts=facts.drop("object"), **SMALL).edits["fact"].to_list() == [3, 4]


@pytest.mark.parametrize("coded", [pl.Categorical(), pl.Enum([f"o{n}" for n in range(5)])])
def test_names_may_be_categories(coded):
    """As in a Parquet file of pandas; their codes are no numbers of objects."""
    columns = ("subject", "relation", "object")
    rows = [(f"p{subject}", "home", f"o{subject % 5}") for subject in range(30)]
    corpus = Corpus(World.from_table(pl.DataFrame(rows, schema=columns, orient="row")))
    text = pl.DataFrame({"subject": ["p7", "p3"], "relation": "home", "object": ["o4", "o1"]})
    as_text = bh.plan(corpus, facts=text, **SMALL)
    assert corpus.world.named(as_text.edits)["new_object_name"].to_list() == ["o4", "o1"]
    coded_objects = text.with_columns(pl.col("object").cast(coded))
    all_coded = coded_objects.with_columns(pl.col("subject", "relation").cast(pl.Categorical))
    for facts in (coded_objects, all_coded):
        assert bh.plan(corpus, facts=facts, **SMALL).plan_hash == as_text.plan_hash


@pytest.mark.parametrize("column", ["object", "new_object"])
@pytest.mark.parametrize(
    ("objects", "kind"),
    [
        (pl.Series([True, False]), "Boolean"),
        (pl.Series([3, 4]).cast(pl.Date), "Date"),
        (pl.Series([[3], [4]]), "List(Int64)"),
    ],
)
def test_new_objects_that_are_neither_numbers_nor_names_are_refused(corpus, column, objects, kind):
    match = re.escape(f"got {kind} in column {column}, allowed: whole numbers or names")
    with pytest.raises(ArgumentError, match=match):
        bh.plan(corpus, facts=pl.DataFrame({"fact": [23, 28], column: objects}), **SMALL)


@pytest.mark.parametrize(
    ("kind", "value", "got"),
    [
        (pl.UInt64, 2**64 - 1, str(2**64 - 1)),
        (pl.Decimal(10, 2), Decimal("1.50"), "Decimal('1.50')"),
        (pl.Float64, float("inf"), "inf"),
    ],
)
def test_new_objects_that_are_no_whole_number_of_64_bits_are_refused(corpus, kind, value, got):
    objects = pl.Series([None, value], dtype=kind)
    match = re.escape(f"got object {got} in row 1 (from 0), allowed: a whole number below 2^63")
    with pytest.raises(ArgumentError, match=match):
        bh.plan(corpus, facts=pl.DataFrame({"fact": [23, 28], "object": objects}), **SMALL)


def test_the_words_of_the_corpus_will_do_where_there_are_no_names(corpus):
    words = {"subject": ["S7", "S9"], "relation": ["R2", "R1"], "object": ["O2:3", None]}
    numbers = {"subject": [7, 9], "relation": [2, 1], "object": [3, None]}
    plans = [bh.plan(corpus, facts=facts, **SMALL) for facts in (words, numbers)]
    assert plans[0].plan_hash == plans[1].plan_hash
    one = bh.plan(corpus, facts={"fact": [23], "object": ["O2:3"]}, **SMALL)
    assert one.edits["new_object"].to_list() == [3]
    by_word = bh.plan(corpus, edits=2, relation="R2", **SMALL)
    assert by_word.plan_hash == bh.plan(corpus, edits=2, relation=2, **SMALL).plan_hash
    with pytest.raises(ArgumentError, match=r"'facts': got 'O1:3' as object in row 0 .from 0."):
        bh.plan(corpus, facts={**words, "object": ["O1:3", None]}, **SMALL)


def test_relations_of_a_grammar_have_their_keys():
    grammar = Grammar.named("bios-en")
    corpus = Corpus(grammar.world(40), grammar=grammar)
    keys = [row["key"] for row in grammar.facts["relations"]]
    plan = bh.plan(corpus, facts={"subject": [2], "relation": [keys[1]]}, **SMALL)
    assert plan.edits.select("subject", "relation").rows() == [(2, 1)]
    with pytest.raises(ArgumentError, match="'facts': got 'shoes' as relation, allowed: "):
        bh.plan(corpus, facts={"subject": [2], "relation": ["shoes"]}, **SMALL)


def test_objects_of_a_grammar_have_their_names():
    grammar = Grammar.named("bios-en")
    corpus = Corpus(grammar.world(40), grammar=grammar)
    rows = corpus.world.facts().unique("relation", maintain_order=True)  # one is a link fact
    table = corpus.world.relation_table
    assert table[rows["relation"][-1]]["link"]
    numbers, names = [], []
    for relation, own in rows.select("relation", "object").rows():
        named = table[relation]["composed"] if table[relation]["link"] else relation
        numbers.append((own + 1) % table[relation]["objects"])
        names.append(grammar.objects(named, numbers[-1:])[0])
    for column in ("object", "new_object"):
        plan = bh.plan(corpus, facts={"fact": rows["fact"], column: [*names[:-1], None]}, **SMALL)
        assert plan.edits["new_object"].to_list()[:-1] == numbers[:-1]
    link = bh.plan(corpus, facts={"fact": rows["fact"][-1:], "object": names[-1:]}, **SMALL)
    assert link.edits["new_object"].to_list() == numbers[-1:]
    near = re.escape("'Lagoss' as object (did you mean Lagos?), allowed: the name of one of the")
    with pytest.raises(ArgumentError, match=near):
        bh.plan(corpus, facts={"subject": [2], "relation": [1], "object": ["Lagoss"]}, **SMALL)
    with pytest.raises(ArgumentError, match="'Ada' as subject, allowed: a whole number: "):
        bh.plan(corpus, facts={"subject": ["Ada"], "relation": [1]}, **SMALL)


def test_the_edits_of_a_plan_are_the_same_edits_as_a_table(corpus):
    plan = bh.plan(corpus, edits=8, seed=3, **SMALL)
    again = bh.plan(corpus, facts=plan.edits, seed=4, **SMALL)
    assert again.edits.equals(plan.edits)
    other = {"fact": [23, 28], "new_object": [3, None]}
    named = {"fact": [23, 28], "object": [3, None]}
    plans = [bh.plan(corpus, facts=facts, **SMALL) for facts in (other, named)]
    assert plans[0].plan_hash == plans[1].plan_hash


@pytest.mark.parametrize(
    "name", ["target", "target_new", "object_new", "Object", "new object", "objcet"]
)
def test_a_column_of_new_objects_by_another_name_is_refused(corpus, name):
    match = rf"'facts': got a column {name} \(did you mean object\?\), allowed: object or new_obj"
    with pytest.raises(ArgumentError, match=match):
        bh.plan(corpus, facts={"fact": [23], name: [3]}, **SMALL)
    bh.plan(corpus, facts={"fact": [23], name: [3]}, kind="refusal", **SMALL)  # has no new object
    both = {"fact": [23], "object": [3], "new_object": [3]}
    with pytest.raises(ArgumentError, match="'facts': got columns object and new_object, allowed"):
        bh.plan(corpus, facts=both, **SMALL)


def test_other_columns_of_a_table_are_ignored(corpus):
    bare = corpus.world.facts().filter(pl.col("fact") < 3)
    extra = bare.rename({"object": "old_object"}).with_columns(
        exposures=2, subject_name=pl.lit("a"), object_name=pl.lit("b"), exact_match=True
    )
    plan = bh.plan(corpus, facts=bare["fact"].to_list(), **SMALL)
    assert bh.plan(corpus, facts=extra, **SMALL).plan_hash == plan.plan_hash
    # Joined with what is known of relations, among it how many objects they have.
    relations = pl.DataFrame(corpus.world.relation_table)
    joined = extra.join(
        relations.cast({"relation": extra.schema["relation"]}), on="relation", maintain_order="left"
    )
    assert "objects" in joined.columns
    assert bh.plan(corpus, facts=joined, **SMALL).plan_hash == plan.plan_hash


def test_refusals_name_the_argument(corpus):
    for facts, request, match in (
        ({"fact": [999]}, {}, "'facts': got 999, allowed: whole numbers 0 to 179"),
        ({"fact": [7, None]}, {}, "'facts': got no number in row 1 .from 0., allowed: whole"),
        ({"fact": ["7", "nan"]}, {}, "'facts': got no number in row 1 .from 0., allowed: who"),
        ({"subject": [1, None], "relation": [0, 0]}, {}, "'facts': got no subject in row 1 "),
        ({"subject": [1], "relation": [-1]}, {}, "'facts': got -1, allowed: whole numbers 0 to"),
        ({"fact": [1, 1]}, {}, "'facts': got fact 1 in rows 0 and 1 .from 0., allowed: each"),
        ({"subject": [1]}, {}, "'facts': got columns subject, allowed: fact, or subject and"),
        ({"subject": ["Ada"], "relation": [0]}, {}, "'facts': got 'Ada' as subject"),
        (
            {"fact": [1, 2], "object": [None, -3]},
            {},
            "'facts': got object -3 in row 1 .from 0., allowed: an",
        ),
        (
            {"fact": [1, 2], "object": [None, -1]},
            {},
            "'facts': got object -1 in row 1 .from 0., allowed: an",
        ),
        ({"fact": [1]}, {"edits": 2}, "'facts': got a table, allowed: either a table or edits"),
        ({"fact": [1]}, {"table": pl.DataFrame({"fact": [2]})}, "'table': got a table beside"),
    ):
        with pytest.raises(ArgumentError, match=match):
            bh.plan(corpus, facts=facts, **request, **SMALL)


def test_what_a_table_edits_as_well_is_asked_for_no_other_edit(corpus):
    facts = {"subject": [3, 3, 3, 5, 5], "relation": [0, 1, 2, 0, 1]}
    for kind in ("refusal", "remap"):
        plan = bh.plan(corpus, facts=facts, kind=kind, **SMALL)
        edited = set(plan.edits["fact"])
        stay = plan.probes.filter(pl.col("must_change").not_())
        assert stay.height and not edited & set(stay["fact"])
        assert stay.filter(group="same_subject")["subject"].to_list() == [5, 5]
    alone = bh.plan(corpus, facts=facts, independent=True, **SMALL)
    assert alone.probes.filter(group="same_subject").height == 10, "each in a model of its own"


def test_no_censor_leads_to_a_nested_object_that_the_table_does_not_tell():
    rows = [(s, 0, 1 + s % 4, s % 2) for s in range(40)]  # none has object 0
    table = pl.DataFrame(rows, schema=["subject", "relation", "object", "nested"], orient="row")
    corpus = Corpus(World.from_table(table), exposures=2)
    facts = {"subject": [0, 1], "relation": [0, 0]}
    for request in (
        {"edits": 2},
        {"fraction": 0.5},
        {"facts": facts},
        {"table": pl.DataFrame(facts)},
    ):
        with pytest.raises(ArgumentError, match="'relation': got 0, allowed: one in which the tab"):
            bh.plan(corpus, kind="censor", relation=0, **request, **SMALL)
    assert len(bh.plan(corpus, kind="refusal", relation=0, facts=facts, **SMALL)) == 2


def test_a_table_is_held_to_what_is_known_and_asked_for(corpus):
    with pytest.raises(ArgumentError, match=r"table.*fact 1 of 2 that are not known.*known facts"):
        bh.plan.compile_plan(
            corpus, bh.EditRequest(**SMALL), table=pl.DataFrame({"fact": [1, 5, 9]}), known=[5]
        )
    with pytest.raises(ArgumentError, match=r"correlated_only.*not with a table"):
        bh.plan(corpus, facts={"fact": [1]}, correlated_only=True, **SMALL)
    nested = Corpus(World(subjects=40, relations=2, objects=12, nested=4, seed=1), exposures=2)
    with pytest.raises(ArgumentError, match=r"fact of relation 0.*target 'subject_nested'"):
        bh.plan(nested, facts={"fact": [0]}, target="subject_nested", **SMALL)
    zero = corpus.world.facts().filter(object=0, relation=1)["fact"].head(2).to_list()
    with pytest.raises(ArgumentError, match=rf"fact {zero[0]} in row 0.*does not say object 0"):
        bh.plan(corpus, facts={"fact": zero}, kind="censor", relation=1, **SMALL)


def test_whole_objects_beside_a_missing_one_are_numbers(corpus):
    own = corpus.world.facts_of([1, 2])["object"]
    new = (own[0] + 1) % 12
    for missing in (None, float("nan")):
        table = pl.DataFrame({"fact": [1, 2], "object": [float(new), missing]})
        plan = bh.plan(corpus, table=table, **SMALL)
        assert plan.edits["new_object"][0] == new and plan.edits["new_object"].null_count() == 0
    table = pl.DataFrame({"fact": [1, 2], "object": [None, 1.5]})
    with pytest.raises(ArgumentError, match=r"'table': got object 1\.5 in row 1 .from 0., all"):
        bh.plan(corpus, table=table, **SMALL)
