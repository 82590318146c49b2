"""Sites in text: names of several tokens, whose ids say nothing of their role."""

import pytest

import behemoth as bh
from behemoth.edit.locate.keys import observe
from behemoth.edit.locate.sites import Places, sites_of
from behemoth.edit.methods.memit import Memit
from behemoth.edit.methods.rome import Rome
from behemoth.edit.protocol import EditContext
from behemoth.plan.compile import compile_plan
from behemoth.plan.request import EditRequest

BARE = {"repeats": 3, "same_object": 0, "same_relation": 0, "regular": 0, "probes": 0}


@pytest.fixture(scope="module")
def bios(tmp_path_factory):
    place = tmp_path_factory.mktemp("tokenizer")
    bh.train_tokenizer("bios-en", place, vocabulary=500, documents=200)
    grammar = bh.Grammar.named("bios-en")
    return bh.Corpus(
        grammar.world(30), exposures=2, order="bios", nested_exposures=1, grammar=grammar,
        tokenizer=place, questions=bh.Questions(0.5, 0.2),
    )  # fmt: skip


@pytest.fixture(scope="module")
def names(bios):
    """What each subject is called, as the documents of the corpus have it."""
    spans = bios.spans(0, bios.num_documents)
    found = {}
    tokens = {}
    for row in spans.filter(spans["role"] == "subject").iter_rows(named=True):
        if row["fact"] >= bios.world.num_subject_facts:
            continue
        document = row["document"]
        if document not in tokens:
            tokens[document] = bios.tokens(document, document + 1)
        subject = int(bios.world.facts_of([row["fact"]])["subject"][0])
        text = bios.decode(tokens[document][row["first"] : row["end"]]).strip()
        found.setdefault(subject, set()).add(text)
    return found


def test_subjects_are_found_by_their_roles(bios, names):
    probes = bios.probes(range(0, bios.world.num_subject_facts, 7))
    assert probes["template"].n_unique() == 2
    lengths = set()
    spans = Places(bios).spans(probes)
    for row, (first, end) in zip(probes.iter_rows(named=True), spans, strict=True):
        said = bios.decode(row["prompt"][first:end]).strip()
        assert {said} == names[row["subject"]]
        assert said in bios.decode(row["prompt"])
        lengths.add(end - first)
    assert min(lengths) > 2
    assert len({first for first, _ in spans}) > 3


def test_the_subject_of_a_link_is_found(bios):
    links = range(bios.world.num_subject_facts, bios.world.num_facts, 5)
    probes = bios.probes(links, ["statement"])
    assert probes.height
    for prompt, span in zip(probes["prompt"], Places(bios).spans(probes), strict=True):
        assert span[1] < len(prompt)
        assert bios.decode(prompt[slice(*span)]).strip()[0].isupper()


def test_a_prompt_of_another_wording_is_refused(bios):
    probes = bios.probes([0], ["statement"])
    moved = probes.with_columns(prompt=probes["prompt"].list.head(2))
    with pytest.raises(ValueError, match="allowed: the prompt of its fact in its wording"):
        Places(bios).spans(moved)


def plan_of(corpus, **request):
    return compile_plan(corpus, EditRequest(**BARE, **request))


def test_wordings_of_a_subject_are_one_site(bios, names):
    plan = plan_of(bios, edits=12, independent=True, wordings=3)
    subjects = plan.edits["subject"].n_unique()
    assert subjects < len(plan)
    [sites] = sites_of(
        [plan], bios, Places(bios), prefixes=2, prefix_tokens=24, kept=3, seed=0
    )  # fmt: skip
    assert len(sites) == subjects
    about = dict(plan.edits.select("edit", "subject").iter_rows())
    for site in sites:
        [subject] = {about[edit] for edit in site.edits}
        [name] = names[subject]
        assert len(site.edited) == 3 * len(site.edits)
        assert len(site.kept) == 3
        for sentence in (*site.edited, *site.kept):
            assert bios.decode(sentence.prompt[: sentence.place + 1]).endswith(name)
            assert sentence.answer
        assert len(site.prefixes) == 3
        assert not any(name in bios.decode(prefix) for prefix in site.prefixes)


def test_edits_are_at_the_last_token_of_the_name(bios, names, random_model):
    plan = plan_of(bios, edits=4, distinct=False)
    model = random_model(bios.vocabulary_size).double()
    context = EditContext(bios)
    few = {"steps": 2, "samples": 500, "token": "subject", "layers": (0,)}
    for method in (Rome(**few), Memit(**few)):
        [delta] = method.apply(model, [plan], context)
        assert delta.failure is None
        [sites] = sites_of(
            [plan], bios, Places(bios), prefixes=0, prefix_tokens=1, kept=method.kept, seed=0
        )  # fmt: skip
        before = observe(model, 0, [sites]).values_sd
        with delta.apply(model):
            after = observe(model, 0, [sites]).values_sd
        assert ((after - before).norm(dim=1) > 1e-6).all()


@pytest.mark.parametrize("sentences", [None, 2])
def test_other_facts_are_kept_beside_edits_of_any_sentence(bios, sentences):
    request = EditRequest(edits=2, relation=1, distinct=False, edit_sentences=sentences, **BARE)
    plan = compile_plan(bios, request)
    places = Places(bios, "subject")
    [sites] = sites_of([plan], bios, places, prefixes=0, prefix_tokens=8, kept=3, seed=0)
    assert [len(site.kept) for site in sites] == [3] * len(sites)
    said = {bios.decode(one.prompt) for site in sites for one in site.kept}
    assert not said & {bios.decode(one.prompt) for site in sites for one in site.edited}
