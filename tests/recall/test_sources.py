import pytest
import torch

import behemoth as bh
from behemoth import ArgumentError

FACTS = [0, 3]


@pytest.fixture(scope="module")
def edits(trained, tmp_path_factory):
    """The folder of an edit of two facts in a batch, and one of them one by one."""
    place = tmp_path_factory.mktemp("edits")
    for name, single in (("batch", False), ("single", True)):
        plan = bh.plan(trained, edits=2, independent=single, repeats=2)
        bh.edit(trained, plan, "lora", place / name, settings={"steps": 1}, single=single)
    return place


@pytest.mark.exact
def test_the_path_of_a_run_will_do(trained):
    asked = bh.recall(bh.load(trained), facts=FACTS)
    assert bh.recall(trained, facts=FACTS).equals(asked)
    assert bh.recall(str(trained), facts=FACTS).equals(asked)


@pytest.mark.exact
def test_an_edit_brings_the_corpus_of_its_run(trained, edits):
    record = bh.load(edits / "batch")
    asked = bh.recall(record.load_model("cpu"), bh.load(trained).corpus, facts=FACTS)
    assert bh.recall(edits / "batch", facts=FACTS, device="cpu").equals(asked)
    assert bh.recall(record, facts=FACTS, device="cpu").equals(asked)


def test_a_given_model_stays_and_that_of_a_run_goes_to_the_device(trained, monkeypatch):
    """By a stand-in for a machine with a GPU."""
    run, asked = bh.load(trained), []
    model = run.load_model("cpu")
    monkeypatch.setattr("behemoth.recall.generation.find_device", torch.device)
    with pytest.raises(ArgumentError, match="'device': got cuda, allowed: cpu, where the model is"):
        bh.recall(model, run.corpus, facts=FACTS, device="cuda")

    def load(run, device):
        asked.append(device)
        return model

    monkeypatch.setattr(type(run), "load_model", load)
    assert bh.recall(trained, facts=FACTS, device="cuda").height  # where the model then is
    assert asked == ["cuda"]


def test_what_is_no_model_is_refused_as_what_it_is(trained, edits, tmp_path):
    for given, said in (
        (tmp_path / "nowhere", "nowhere, which does not exist, allowed: a training run"),
        (tmp_path, f"{tmp_path}, which is empty, allowed: a training run"),
        (edits / "single", "single, single edits, allowed: one model: EditRecord.load_model"),
        (5, "5, allowed: a model or a run"),
    ):
        with pytest.raises(ArgumentError, match=f"argument 'model': got .*{said}"):
            bh.recall(given)


def test_an_edit_says_the_numbers_of_its_edits(edits):
    record = bh.load(edits / "single")
    with pytest.raises(ArgumentError, match=r"'edit': got 99, allowed: .* of its edits: 0 to 1$"):
        record.load_model(edit=99)
