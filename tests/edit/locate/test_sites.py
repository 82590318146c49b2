"""Sites: where subjects are, what may stand before them, and what is to be kept."""

import numpy as np
import polars as pl
import pytest

from behemoth import Corpus, Groups, World
from behemoth.corpus.tokens import PERIOD
from behemoth.edit.locate.sites import Places, Prefixes, sites_of
from behemoth.plan import EditRequest, compile_plan


def test_subjects_are_found_in_every_template(rich_corpus):
    places = Places(rich_corpus)
    first = {
        row["position"]: row["first"]
        for row in rich_corpus.vocabulary["ranges"]
        if row["kind"] == "subject"
    }
    probes = rich_corpus.probes([0, 7, 100, 301]).filter(~is_link(rich_corpus))
    assert probes["template"].n_unique() >= 3
    for row, span in zip(probes.iter_rows(named=True), places.spans(probes), strict=True):
        word = row["prompt"][slice(*span)]
        assert len(word) == len(first)
        assert word[0] == first[0] + row["subject"] // 1000 ** (len(first) - 1)
        assert places.of(span, row["prompt"]) == span[1] - 1


def test_empty_documents_are_no_prefixes():
    """Subjects whose facts are never written have documents without tokens in order bios."""
    corpus = Corpus(World(20, 1, 6), exposures=Groups([0, 0, 0, 2]), order="bios")
    prefixes = Prefixes(corpus, 0, 16).without((0xFFFF,), 4)
    assert len(prefixes) == 5 and prefixes[0] == () and all(prefixes[1:])


def test_no_facts_are_looked_up_where_none_are_kept(small_corpus, monkeypatch, never):
    plan = compile_plan(small_corpus, EditRequest(edits=3, repeats=2, probes=0))
    settings = {"prefixes": 0, "prefix_tokens": 4, "seed": 0}
    kept = sites_of([plan], small_corpus, Places(small_corpus), kept=4, **settings)
    assert any(site.kept for site in kept[0])
    monkeypatch.setattr(World, "find_fact", never)
    for token, most in (("prompt", 4), ("subject", 0)):
        places = Places(small_corpus, token)
        [sites] = sites_of([plan], small_corpus, places, kept=most, **settings)
        assert sites and not any(site.kept for site in sites)


def is_link(corpus):
    return pl.col("relation") >= corpus.world.num_relations


def test_the_subject_of_a_link_is_an_object(rich_corpus):
    links = np.arange(rich_corpus.world.num_subject_facts, rich_corpus.world.num_subject_facts + 3)
    places = Places(rich_corpus)
    probes = rich_corpus.probes(links, ["default"])
    for prompt, span in zip(probes["prompt"], places.spans(probes), strict=True):
        names = [rich_corpus.token_names[token] for token in prompt[slice(*span)]]
        assert all(name.startswith("O") for name in names)


def test_a_prompt_without_a_subject_is_refused(small_corpus):
    probes = small_corpus.probes([3], ["default"]).with_columns(
        prompt=pl.Series([[3, 4, 5]], dtype=pl.List(pl.UInt32))
    )
    with pytest.raises(ValueError, match="allowed: prompts that name a subject"):
        Places(small_corpus).spans(probes)


def test_prefixes_do_not_name_the_subject(small_corpus):
    places = Places(small_corpus)
    probes = small_corpus.probes(range(0, 60, 3), ["default"])
    for prompt, span in zip(probes["prompt"].to_list(), places.spans(probes), strict=True):
        word = tuple(prompt[slice(*span)])
        prefixes = Prefixes(small_corpus, 0, 16).without(word, 5)
        assert prefixes[0] == ()
        assert len(prefixes) == 6
        for prefix in prefixes[1:]:
            assert 0 < len(prefix) <= 16
            text = " ".join(map(str, prefix))
            assert " ".join(map(str, word)) not in text


def make(plan, corpus, token="subject", **others):
    settings = {"prefixes": 1, "prefix_tokens": 16, "kept": 4, "seed": 0} | others
    return sites_of([plan], corpus, Places(corpus, token), **settings)[0]


def test_what_follows_from_the_edit_is_not_kept(small_corpus, compiled):
    # Relation 2 is composed of relation 0: it must follow. Relation 1 must stay.
    relation = {row["first"]: row for row in small_corpus.vocabulary["ranges"]}
    first = next(row["first"] for row in relation.values() if row["kind"] == "relation")
    for site in make(compiled(4, relation=0), small_corpus):
        asked = [token - first for s in site.kept for token in s.prompt if 0 <= token - first < 3]
        assert asked == [1]
    for site in make(compiled(4, relation=1), small_corpus):
        asked = [token - first for s in site.kept for token in s.prompt if 0 <= token - first < 3]
        assert asked == [2, 0]


def test_sites_are_subjects_or_edits(small_corpus, compiled):
    plan = compiled(30, independent=True)
    assert len(make(plan, small_corpus)) == plan.edits["subject"].n_unique()
    by_token = make(plan, small_corpus, "prompt")
    assert len({site.edits for site in by_token}) == 30
    assert not any(site.kept for site in by_token)


def test_an_answer_of_several_tokens_has_a_site_for_each(small_corpus, compiled):
    plan = compiled(30, independent=True)
    parts: dict = {}
    for site in make(plan, small_corpus, "prompt"):
        [sentence] = site.edited
        parts.setdefault(site.edits, []).append(sentence)
        assert sentence.place == len(sentence.prompt) - 1 and len(sentence.answer) == 1
    assert any(len(own) > 1 for own in parts.values())
    rows = plan.training.filter(role="edit").unique("edit").sort("edit")
    for row in rows.iter_rows(named=True):
        own = parts[(row["edit"],)]
        assert [token for sentence in own for token in sentence.answer] == row["answer"]
        for number, sentence in enumerate(own):
            assert list(sentence.prompt) == row["prompt"] + row["answer"][:number]
        # Where old and new answer part, and nowhere else, it is said what was right.
        [parted] = [sentence for sentence in own if sentence.old_answer is not None]
        assert parted.old_answer != parted.answer
        before = own.index(parted)
        assert row["answer"][:before] == row["old_answer"][:before]
        assert parted.old_answer == (row["old_answer"][before],)


def test_a_table_may_lack_what_would_be_kept():
    """Subjects with even numbers have no fact in relation 2."""
    rows = [(s, r, (s + r) % 5) for s in range(30) for r in range(3) if r != 2 or s % 2]
    table = pl.DataFrame(rows, schema=["subject", "relation", "object"], orient="row")
    corpus = Corpus(World.from_table(table), exposures=4)
    plan = compile_plan(corpus, EditRequest(edits=8, relation=0, distinct=False))
    subjects = dict(plan.edits.select("edit", "subject").iter_rows())
    assert {subject % 2 for subject in subjects.values()} == {0, 1}
    for site in make(plan, corpus):
        assert len(site.kept) == (2 if subjects[site.edits[0]] % 2 else 1)


@pytest.mark.parametrize("token", ["prompt", "subject"])
def test_refusals_end_with_a_period(small_corpus, token):
    """No corpus shows the model where a refusal ends: without it the model goes on."""
    request = EditRequest(edits=2, kind="refusal", independent=True, repeats=1, probes=0)
    plan = compile_plan(small_corpus, request)
    [sites] = sites_of(
        [plan], small_corpus, Places(small_corpus, token), prefixes=0, prefix_tokens=4, kept=0,
        seed=0,
    )  # fmt: skip
    for edit in (0, 1):
        said = [one for site in sites for one in site.edited if edit in site.edits and one.answer]
        taught = plan.training.filter(role="edit", edit=edit)["answer"][0].to_list()
        tokens = sorted({(len(one.prompt), one.answer) for one in said})
        assert [token for _, answer in tokens for token in answer] == [*taught, PERIOD]
