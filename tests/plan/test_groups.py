"""Every group is held against its definition, by brute force, in worlds of every kind."""

import polars as pl
import pytest

from behemoth import (
    ArgumentError,
)
from behemoth.plan import EditRequest, compile_plan
from behemoth.plan.groups import FOLLOWING, GROUPS

REQUESTS = {
    "remap": {"edits": 3},
    "relation 0": {"edits": 2, "relation": 0},
    "one object": {"edits": 3, "to": "one"},
    "any objects": {"edits": 20, "distinct": False},
    "new object": {"edits": 3, "new_object": 9, "same_object": 0},
    "independent": {"edits": 30, "independent": True, "same_relation": 20, "regular": 20},
    "refusal": {"edits": 4, "kind": "refusal"},
    "question": {"edits": 3, "kind": "question_refusal"},
    "censor": {"kind": "censor", "relation": 1},
    "censor part": {"kind": "censor", "relation": 0, "fraction": 0.4},
    "censor some": {"kind": "censor", "relation": 0, "edits": 5},
    "refuse part": {"kind": "refusal", "relation": 1, "fraction": 0.5},
    "subject nested": {"edits": 1, "target": "subject_nested"},
    "object nested": {"edits": 2, "target": "object_nested", "distinct": False},
    "independent links": {"edits": 5, "target": "object_nested", "independent": True},
    "correlated": {"edits": 2, "correlated_only": True},
}
BYSTANDERS = ("same_object", "new_object", "same_relation", "unrelated", "retain")
ROLES = {"same_object": "same_object", "new_object": "new_object",
         "same_relation": "same_relation", "regular": "unrelated"}  # fmt: skip


# What a request needs of a world, and what the worlds of conftest.py have.
NEEDS = {
    "question": "questions",
    "censor part": "whole",
    "censor some": "whole",
    "subject nested": "nested",
    "object nested": "nested",
    "independent links": "nested",
    "correlated": "correlated",
}
WORLDS = {
    "plain": ("whole",),
    "nested": ("whole", "nested"),
    "rich": ("whole", "nested", "correlated", "questions"),
    "binarised": ("whole", "correlated"),
    "long words": ("whole", "nested", "questions"),
    "table": ("nested",),
}
CASES = [
    (world, name)
    for world, features in WORLDS.items()
    for name in REQUESTS
    if NEEDS.get(name) in (None, *features)
]


@pytest.fixture(scope="module")
def plans():
    """Plans by world and request, so that each is compiled once."""
    return {}


@pytest.fixture(params=CASES, ids="-".join)
def compiled(request, corpora, brute, plans):
    world, name = request.param
    corpus = corpora[world]
    if request.param not in plans:
        plans[request.param] = compile_plan(corpus, EditRequest(**REQUESTS[name], seed=11))
    return plans[request.param], brute(corpus)


def test_a_world_lacks_what_the_cases_leave_out(corpora):
    for world, features in WORLDS.items():
        for name, words in REQUESTS.items():
            if NEEDS.get(name) not in (None, *features):
                with pytest.raises(ArgumentError, match=r"nested object|correlated|questions"):
                    compile_plan(corpora[world], EditRequest(**words))


def _edits(plan):
    return {row["edit"]: row for row in plan.edits.iter_rows(named=True)}


def _touched(plan, brute, edit):
    """Edits whose subjects a bystander of one must not be about."""
    edits = _edits(plan)
    return [edits[edit]] if plan.request.independent else list(edits.values())


@pytest.fixture(scope="module")
def words():
    """Words of objects in a template, by spec and relation: each takes a corpus of its own."""
    return {}


def _words(brute, relation, template):
    """Words of all objects of a relation by object and wording, each said of another subject."""
    holders = [fact for fact, known in brute.facts.items() if known["relation"] == relation]
    objects, found = range(brute.table[relation]["objects"]), {}
    for first in range(0, len(objects), len(holders)):
        given = dict(zip(holders, objects[first:], strict=False))
        probes = brute.corpus.override(given).probes(list(given), [template])
        for fact, wording, answer in probes.select("fact", "wording", "answer").iter_rows():
            found[given[fact], wording] = answer
    return found


def test_answers_are_the_words_of_the_twin(compiled, words):
    plan, brute = compiled
    edits = _edits(plan)
    refuses = plan.request.refuses
    whole = None if plan.request.independent else brute.twin(edits.values())
    marker = brute.corpus.token_names.index("object")

    def answer(relation, object_, row):
        key = (brute.corpus.spec_hash, relation, row["template"])
        if key not in words:
            words[key] = _words(brute, relation, row["template"])
        return words[key][object_, row["wording"]]

    sample = plan.probes.group_by("group", maintain_order=True).head(12)
    asked = {
        (template, row["fact"], row["wording"]): row
        for (template,), part in sample.group_by("template")
        for row in brute.corpus.probes(part["fact"].unique(), [template]).iter_rows(named=True)
    }
    for row in sample.iter_rows(named=True):
        known = brute.facts[row["fact"]]
        assert (row["subject"], row["relation"]) == (known["subject"], known["relation"])
        assert row["exposures"] == known["exposures"]
        assert row["link"] == known["link"]
        probe = asked[row["template"], row["fact"], row["wording"]]
        assert row["prompt"] == probe["prompt"]
        assert row["old_answer"] == probe["answer"]
        assert row["held_out"] == probe["held_out"]
        assert row["seen"] == probe["seen"]
        edit = None if row["edit"] is None else edits[row["edit"]]
        is_edited = row["group"] in ("forget", "implicit_remap") or row["group"].startswith("edit")
        if refuses and is_edited:
            refusal = [marker] * (3 if row["template"] == "question" else 2)
            assert row["answer"] == refusal and row["must_change"]
            assert row["new_answer"] is None
            continue
        if row["group"] == "implicit_remap":
            right = 0
        elif row["group"] == "correlated_followed":
            right = edit["new_object"]
        else:
            twin = whole if whole is not None else brute.twin([edit])
            right = twin[row["fact"]]
        assert row["answer"] == answer(row["relation"], right, row), row
        assert row["must_change"] == (right != known["object"])
        assert row["must_change"] == (row["answer"] != row["old_answer"])
        if row["new_answer"] is not None:
            new = 0 if edit is None else edit["new_object"]
            assert row["new_answer"] == answer(row["relation"], new, row)


def test_bystanders_are_what_their_group_says(compiled):
    plan, brute = compiled
    edits = _edits(plan)
    by_rule = plan.request.by_rule
    training = plan.training.filter(pl.col("role") != "edit").select(
        group=pl.col("role").replace_strict(ROLES), fact="fact", edit="share", side=pl.lit("train")
    )
    probes = plan.probes.filter(pl.col("group").is_in(BYSTANDERS)).select(
        "group", "fact", "edit", side=pl.lit("probe")
    )
    assert not training.is_duplicated().any()
    assert not probes.is_duplicated().any()
    twin = None if plan.request.independent else brute.twin(edits.values())
    for group, fact, edit, _ in pl.concat([training, probes]).iter_rows():
        known = brute.facts[fact]
        assert known["exposures"] > 0
        if twin is not None:
            assert twin[fact] == known["object"]
        if by_rule and group == "new_object":  # what says so already
            assert (known["relation"], known["object"]) == (plan.request.relation, 0)
            continue
        if by_rule:
            assert known["relation"] != plan.request.relation
            continue
        own = edits[edit]
        if group == "same_object":
            assert known["relation"] == own["relation"]
            assert known["object"] == own["old_object"]
        elif group == "new_object":
            assert known["relation"] == own["relation"]
            assert known["object"] == own["new_object"]
        elif group == "same_relation":
            assert known["relation"] == own["relation"]
            assert known["object"] != own["old_object"]
        elif group == "unrelated":
            assert known["relation"] != own["relation"]
        for other in _touched(plan, brute, edit):
            assert fact != other["fact"]
            if not known["link"] and not other["link"]:
                assert known["subject"] != other["subject"]
    if plan.request.independent:
        for edit in list(edits.values())[:10]:
            twin = brute.twin([edit])
            mine = plan.single(edit["edit"])
            rows = mine.training.filter(pl.col("edit").is_null())["fact"].to_list()
            kept = mine.probes.filter(pl.col("group").is_in(BYSTANDERS))["fact"].to_list()
            assert all(twin[fact] == brute.facts[fact]["object"] for fact in rows + kept)


def test_training_and_probes_share_no_fact_but_the_edited(compiled):
    plan, _ = compiled
    for part in plan.singles()[:20] if plan.request.independent else [plan]:
        own = set(part.edits["fact"])
        trained = set(part.training["fact"])
        asked = set(part.probes["fact"])
        assert trained & asked <= own
        assert own <= trained
        rows = part.training.filter(pl.col("edit").is_null())
        assert not set(rows["fact"]) & own
        assert rows["fact"].is_unique().all()
        one = pl.col("role") == "same_object" if part.request.to == "one" else pl.lit(False)
        assert (rows.filter(~one)["weight"] == 1).all()


def test_groups_that_are_tied_to_an_edit_are_complete(compiled):
    plan, brute = compiled
    probes = plan.probes
    for edit in list(_edits(plan).values())[:12]:
        mine = probes.filter(pl.col("edit") == edit["edit"])
        found = {
            group[0]: part["fact"].to_list()
            for group, part in mine.group_by("group", maintain_order=True)
        }
        expected = _expected(plan, brute, edit)
        left_out = _edited_or_doubted(plan, brute, edit)
        for group in ("same_subject", "correlated_kept", "object_nested", "new_object_nested"):
            expected[group] = [fact for fact in expected[group] if fact not in left_out]
        for group in ("same_subject", "correlated_kept", "correlated_followed",
                      "object_nested", "new_object_nested"):  # fmt: skip
            assert sorted(found.get(group, [])) == sorted(expected[group]), group
        if not edit["link"]:
            assert sorted(found.get("subject_nested", [])) == sorted(expected["subject_nested"])
        else:
            wanted = set(expected["subject_nested"])
            got = found.get("subject_nested", [])
            assert set(got) <= wanted
            depth = len({brute.facts[fact]["relation"] for fact in wanted}) or 1
            assert len(got) == min(len(wanted), depth * plan.request.probes)


def _below(brute, relation, depth=0):
    """Composed relations that rest on one."""
    for row in brute.table:
        if row["kind"] == "composed" and row["of"] == relation:
            yield row["relation"]
            yield from _below(brute, row["relation"])


def _links_below(brute, relation, object_):
    """Link facts of an object, and of what it leads to."""
    for row in brute.table:
        if row["kind"] == "link" and row["of"] == relation:
            fact = brute.ids[row["relation"], object_]
            yield fact
            yield from _links_below(brute, row["composed"], brute.facts[fact]["object"])


def _edited_or_doubted(plan, brute, edit):
    """Facts that edits change, those of inverse relations, and all that is composed of these."""
    facts = set()
    for each in _touched(plan, brute, edit["edit"]):
        facts.add(each["fact"])
        relation, subject = each["relation"], each["subject"]
        own, doubted = brute.table[relation], []
        for row in brute.table:
            if (row["kind"], row.get("of")) == ("inverse", relation) or (
                (own["kind"], own.get("of")) == ("inverse", row["relation"])
            ):
                objects = (each["old_object"], each["new_object"])
                doubted += [(row["relation"], object_) for object_ in objects]
            elif row["kind"] == own["kind"] == "inverse" and row["of"] == own["of"]:
                doubted.append((row["relation"], subject))
        for other, about in doubted:
            facts |= {brute.ids.get((each, about)) for each in (other, *_below(brute, other))}
        for row in brute.table:
            partner = row["relation"]
            if row.get("with") == relation or own.get("with") == partner:
                fact = brute.ids[partner, subject]
                if brute.facts[fact]["object"] == each["old_object"]:
                    facts |= {brute.ids[below, subject] for below in _below(brute, partner)}
    return facts


def _expected(plan, brute, edit):
    relation, subject, fact = edit["relation"], edit["subject"], edit["fact"]
    row = brute.table[relation]
    subject_relations = range(brute.world.num_relations)
    partners = [r["relation"] for r in brute.table if r.get("with") == relation]
    partners += [row["with"]] if "with" in row else []
    expected = dict.fromkeys(GROUPS, ())
    base = row.get("composed", relation)
    expected["object_nested"] = list(_links_below(brute, base, edit["old_object"]))
    if edit["new_object"] is not None:
        expected["new_object_nested"] = list(_links_below(brute, base, edit["new_object"]))
    if edit["link"]:
        expected["same_subject"] = [
            brute.ids[r["relation"], subject]
            for r in brute.table
            if r["link"] and r["of"] == row["of"] and r["relation"] != relation
        ]
        holders = [
            known["subject"]
            for known in brute.facts.values()
            if known["relation"] == row["of"] and known["object"] == subject
        ]
        expected["subject_nested"] = [
            brute.ids[c, s] for s in holders for c in (base, *_below(brute, base))
        ]
        return expected
    below = list(_below(brute, relation))
    agreeing = [
        brute.ids[p, subject]
        for p in partners
        if brute.facts[brute.ids[p, subject]]["object"] == edit["old_object"]
    ]
    expected["subject_nested"] = [brute.ids[c, subject] for c in below]
    expected["correlated_kept"] = agreeing
    expected["correlated_followed"] = agreeing if edit["new_object"] is not None else []
    expected["same_subject"] = [
        brute.ids[r, subject]
        for r in subject_relations
        if (r, subject) in brute.ids
        and r not in below
        and brute.ids[r, subject] not in (*agreeing, fact)
    ]
    if row["kind"] == "composed":
        link = next(r["relation"] for r in brute.table if r.get("composed") == relation)
        above = brute.facts[brute.ids[row["of"], subject]]["object"]
        expected["object_nested"] = [*expected["object_nested"], brute.ids[link, above]]
    return expected


@pytest.mark.parametrize("independent", [False, True])
def test_consequences_are_those_of_all_edits_of_a_batch(corpora, brute, independent):
    """Of a table, which may edit a fact, facts composed of it or correlated, and their links."""
    corpus, known = corpora["rich"], brute(corpora["rich"])
    objects = {each: row["objects"] for each, row in enumerate(known.table)}
    link_of = {row["composed"]: row["relation"] for row in known.table if row["kind"] == "link"}
    new: dict[int, int] = {}

    def edit(relation, subject, by=1):
        fact = known.ids[relation, subject]
        new[fact] = (known.facts[fact]["object"] + by) % objects[relation]
        return new[fact]

    edit(link_of[5], edit(0, 0))  # a fact, and the link of its new object
    edit(0, 1)
    edit(5, 1, 3)  # composed of the fact before
    edit(5, 2)
    edit(link_of[6], known.facts[known.ids[5, 3]]["object"])  # a link below another edited one
    agree = [s for s in range(3, 50) if known.facts[known.ids[0, s]]["object"]
             == known.facts[known.ids[1, s]]["object"]]  # fmt: skip
    edit(0, agree[0])
    edit(1, agree[0], 2)
    table = {"fact": list(new), "object": list(new.values())}
    request = EditRequest(facts=table, repeats=1, probes=40, independent=independent)
    plan = compile_plan(corpus, request)
    for part in plan.singles() if independent else [plan]:
        twin = known.twin(part.edits.iter_rows(named=True))
        follow = part.probes.filter(group="subject_nested")
        assert follow.height
        for fact, changes in follow.select("fact", "must_change").iter_rows():
            assert changes == (twin[fact] != known.facts[fact]["object"])
        right = part.probes.filter(pl.col("group").is_in(("edited", *FOLLOWING)))
        answers = right.select("fact", "prompt", "answer").unique()
        assert answers.height == answers.select("fact", "prompt").n_unique()


def test_implicit_remaps_are_all_that_was_left_out(corpora, brute):
    corpus = corpora["plain"]
    request = EditRequest(kind="censor", relation=1, fraction=0.3, probes=1000)
    plan = compile_plan(corpus, request)
    facts = brute(corpus).frame.filter((pl.col("relation") == 1) & (pl.col("object") != 0))
    left_out = plan.probes.filter(pl.col("group") == "implicit_remap")["fact"]
    assert set(left_out) | set(plan.edits["fact"]) == set(facts["fact"])
    assert not set(left_out) & set(plan.edits["fact"])
    assert plan.probes.filter(pl.col("group") == "implicit_remap")["edit"].null_count() == len(
        left_out
    )


def test_wordings_have_groups_of_their_own(corpora):
    plan = compile_plan(corpora["rich"], EditRequest(edits=2, wordings=2))
    rows = plan.probes.filter(pl.col("edit") == 0)
    shown = {
        (row["group"], row["template"], row["wording"])
        for row in rows.iter_rows(named=True)
        if row["group"].startswith("edited")
    }
    assert {x for x in shown if x[0] == "edited"} == {
        ("edited", "default", 0), ("edited", "default", 1),
    }  # fmt: skip
    assert {x for x in shown if x[0] == "edited_question"} == {
        ("edited_question", "question", wording) for wording in range(3)
    }
    assert ("edited_held_out", "default", 2) in shown
    assert ("edited_paraphrase", "rso", 0) in shown
    assert ("edited_held_out", "repeats", 2) in shown
    trained = plan.training.filter(pl.col("edit") == 0)
    assert trained.select("template", "wording", "weight").rows() == [
        ("default", 0, 125), ("default", 1, 125),
    ]  # fmt: skip
    others = plan.training.filter(pl.col("edit").is_null())
    assert set(others["wording"]) == {0, 1}
