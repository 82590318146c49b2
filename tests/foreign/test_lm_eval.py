"""The tasks of `export --to lm-eval`, asked by the harness itself: the accuracies are ours.

Needs lm_eval, which `make test-foreign` installs; nothing of the network is asked.
"""

import polars as pl
import pytest

import behemoth as bh
from behemoth.evaluate.metrics import KEPT, NEIGHBOURS, PARAPHRASED
from behemoth.export import export

lm_eval = pytest.importorskip("lm_eval", exc_type=ImportError)

pytestmark = [
    pytest.mark.foreign,
    # Of the harness and of what it imports, none of which is ours to mend.
    pytest.mark.filterwarnings("ignore"),
]

EDITED = ("edited", *PARAPHRASED, "edited_question")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run that knows some facts, and a plan for it."""
    place = tmp_path_factory.mktemp("lm-eval")
    world = bh.World(subjects=100, relations=3, objects=12, seed=3)
    corpus = bh.Corpus(
        world, exposures=bh.Groups([0, 4, 16]), paraphrases=4, held_out=1,
        questions=bh.Questions(0.5, 0.2),
    )  # fmt: skip
    config = bh.default_config(
        "pico", steps=60, batch_size=16, block_length=64, threads=1, tensorboard=False
    )
    bh.train(corpus, out=place / "run", config=config)
    few = {"repeats": 2, "same_object": 2, "same_relation": 4, "regular": 2, "probes": 4}
    plan = bh.plan(place / "run", edits=12, distinct=False, out=place / "plan", **few)
    return place, plan


def accuracies(model, tasks, monkeypatch, names=("behemoth",)):
    """What the harness says of our tasks, by default of all, by name."""
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    monkeypatch.chdir(tasks)  # the tasks name their files from here
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    found = lm_eval.simple_evaluate(
        model=HFLM(pretrained=str(model), dtype="float32", device="cpu", batch_size=16),
        tasks=list(names),
        task_manager=TaskManager(include_path=str(tasks), include_defaults=False),
        bootstrap_iters=0,
    )
    return {
        name.removeprefix("behemoth_"): row["acc,none"]
        for name, row in found["results"].items()
        if "acc,none" in row and name != "behemoth"
    }


def ours(frame):
    """The same of our rows: means of probes, as the harness takes them."""
    true, old = (pl.col(f"log_probability_{name}") for name in ("true", "old"))
    rows = {
        "efficacy": (frame.filter(pl.col("group") == "edited"), true > old),
        "paraphrase": (frame.filter(pl.col("group").is_in(PARAPHRASED)), true > old),
        "neighbourhood": (
            frame.filter(pl.col("group").is_in(NEIGHBOURS), ~pl.col("must_change")),
            old > pl.col("log_probability_new"),
        ),
        "edited": (
            frame.filter(pl.col("group").is_in(EDITED), pl.col("must_change")),
            pl.col("rank") == 1,
        ),
        "kept": (
            frame.filter(pl.col("group").is_in(KEPT), ~pl.col("must_change")),
            pl.col("rank") == 1,
        ),
    }
    return {name: some.select(right.mean()).item() for name, (some, right) in rows.items()}


def test_a_run(made, tmp_path, monkeypatch):
    place, plan = made
    export(place / "run", tmp_path / "tasks", to="lm-eval", plan=plan)
    frame = bh.evaluate(place / "run", plan)
    found = accuracies(place / "run", tmp_path / "tasks", monkeypatch)
    assert found == ours(frame)
    assert 0 < found["kept"] < 1  # the model knows some of it


def test_an_edited_model(made, tmp_path, monkeypatch):
    place, plan = made
    settings = {"rank": 2, "steps": 8, "learning_rate": 0.02}
    bh.edit(place / "run", plan, "lora", tmp_path / "edit", settings=settings)
    export(tmp_path / "edit", tmp_path / "model", to="hf")
    export(place / "run", tmp_path / "tasks", to="lm-eval", plan=plan)
    after = bh.evaluate(tmp_path / "edit", plan).filter(pl.col("stage") == "after")
    found = accuracies(tmp_path / "model", tmp_path / "tasks", monkeypatch)
    assert found == ours(after)
    assert found != ours(bh.evaluate(place / "run", plan))


def test_names_in_pieces(tmp_path, monkeypatch):
    """Some names begin with a space that is a token by itself: they are joined with one text."""
    bh.train_tokenizer("bios-en", tmp_path / "bpe", vocabulary=400, documents=300)
    grammar = bh.Grammar.named("bios-en")
    corpus = bh.Corpus(grammar.world(60), exposures=4, grammar=grammar, tokenizer=tmp_path / "bpe")
    config = bh.default_config(
        "pico",
        steps=10,
        batch_size=16,
        block_length=64,
        threads=1,
        tensorboard=False,
        probe_facts=0,
    )
    bh.train(corpus, out=tmp_path / "run", config=config)
    few = {"repeats": 2, "same_object": 2, "same_relation": 4, "regular": 2, "probes": 4}
    plan = bh.plan(tmp_path / "run", edits=12, distinct=False, **few)
    export(tmp_path / "run", tmp_path / "tasks", to="lm-eval", plan=plan)
    wanted = ("efficacy", "paraphrase", "neighbourhood")
    names = [f"behemoth_{name}" for name in wanted]
    found = accuracies(tmp_path / "run", tmp_path / "tasks", monkeypatch, names)
    right = ours(bh.evaluate(tmp_path / "run", plan))
    assert found == {name: right[name] for name in wanted}
    assert 0 < found["neighbourhood"] < 1
