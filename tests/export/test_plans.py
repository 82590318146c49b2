"""Plans of a kind of their own in the formats of others: few wordings, many objects, refusals."""

import json

import pytest
from datasets import load_dataset

import behemoth as bh
from behemoth import Corpus, Grammar, Groups, Questions, World
from behemoth.export import export
from behemoth.export.planned import Planned


def _plain(_=None):
    world = World(subjects=200, relations=3, objects=12, seed=1)
    return Corpus(
        world, exposures=Groups([0, 2, 4]), paraphrases=4, held_out=1, questions=Questions(0.5, 0.2)
    )


def _text(_=None):
    grammar = Grammar.named("bios-en")
    return Corpus(grammar.world(120), grammar=grammar, exposures=3, questions=Questions(0.5, 0.2))


def read(file):
    return json.loads(file.read_text(encoding="utf-8"))


def lines(file):
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_tofu_has_no_paraphrase_where_there_is_one_wording(tmp_path):
    corpus = Corpus(World(subjects=40, relations=2, objects=8), exposures=2)
    corpus.write(tmp_path / "c", probes=0)
    plan = bh.plan(corpus, edits=2, repeats=2, probes=2)
    export(tmp_path / "c", tmp_path / "out", to="tofu", plan=plan)
    rows = lines(next((tmp_path / "out").glob("forget*_perturbed.json")))
    assert rows and all("paraphrased_question" not in row for row in rows)


@pytest.mark.parametrize("probed", [0, 2])
def test_tofu_of_sentences_of_edits_that_are_not_probed(tmp_path, probed):
    corpus = _text()
    corpus.write(tmp_path / "c", probes=0)
    plan = bh.plan(corpus, edits=4, edit_sentences=1, probed=probed, repeats=3, probes=2)
    export(tmp_path / "c", tmp_path / "out", to="tofu", plan=plan)
    rows = lines(next((tmp_path / "out").glob("forget*_perturbed.json")))
    edits = plan.edits.iter_rows(named=True)
    for row, edit in zip(rows, edits, strict=True):
        count = corpus.world.relation_table[edit["relation"]]["objects"]
        objects = corpus.grammar.objects(edit["relation"], range(count))
        assert len(row["perturbed_answer"]) == 5
        assert set(row["perturbed_answer"]) <= set(objects)
        assert row["answer"] not in row["perturbed_answer"]


def test_datasets_tells_plans_in_folders_of_one_name_apart(tmp_path):
    """Its cache knows a local data set by the names of its folder and files, and by the card."""
    corpus = Corpus(World(subjects=40, relations=2, objects=8), exposures=2)
    corpus.write(tmp_path / "c", probes=0)
    for seed in (0, 1):
        plan = bh.plan(corpus, edits=2, repeats=2, probes=2, seed=seed)
        out = tmp_path / str(seed) / "tofu"
        export(tmp_path / "c", out, to="tofu", plan=plan)
        [file] = out.glob("forget[0-9][0-9].json")
        found = load_dataset(str(out), file.stem, split="train", cache_dir=str(tmp_path / "cache"))
        assert found.to_list() == lines(file)


def test_answers_among_too_many_objects_are_not_made(tmp_path, monkeypatch):
    corpus = bh.Corpus(bh.World(subjects=150, relations=2, objects=[129, 5]))
    corpus.write(tmp_path / "corpus", probes=0)
    plan = bh.plan(corpus, edits=6, repeats=2, probes=4, distinct=False)
    asked, words = [], Planned.words

    def noted(self, frame, most):
        asked.extend(frame["relation"])
        return words(self, frame, most)

    monkeypatch.setattr(Planned, "words", noted)
    export(tmp_path / "corpus", tmp_path / "out", to="lm-eval", plan=plan)
    assert plan.probes["relation"].n_unique() == 2 and set(asked) == {1}
    documents = lines(tmp_path / "out" / "kept.jsonl")
    assert documents and {len(document["choices"]) for document in documents} == {5}


def test_refused_facts_are_edits_like_others(tmp_path):
    corpus = _plain()
    corpus.write(tmp_path / "corpus", probes=0)
    plan = bh.plan(corpus, kind="refusal", relation=1, edits=3, repeats=2, probes=2)
    export(tmp_path / "corpus", tmp_path / "c", to="counterfact", plan=plan)
    record = read(tmp_path / "c" / "counterfact.json")[0]["requested_rewrite"]
    assert record["target_new"] == {"str": "object object", "id": None}
    export(tmp_path / "corpus", tmp_path / "l", to="lm-eval", plan=plan)
    # A refusal is no object to choose among.
    assert not (tmp_path / "l" / "edited.jsonl").exists()
    assert (tmp_path / "l" / "kept.jsonl").exists()
