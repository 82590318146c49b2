"""What is of another type than an argument wants is refused in one line, by the argument's name."""

from pathlib import Path

import numpy as np
import pytest

import behemoth as bh
from behemoth.recall.sequence_rank import check_rank
from behemoth.study import merge_studies
from behemoth.study.gates import run_gates

WORLD = bh.World(subjects=20, relations=2, objects=5)
CORPUS = bh.Corpus(WORLD, exposures=2)
ARRAY = np.array(["first", "sequence"])


@pytest.fixture(scope="module")
def plan(trained):
    return bh.plan(trained, edits=1, repeats=1, probes=1)


@pytest.fixture
def edit(trained, plan, tmp_path, monkeypatch):
    """Edit as it should be, but for what is given."""
    monkeypatch.chdir(tmp_path)

    def edit(**wrong):
        return bh.edit(**{"run": trained, "plan": plan, "method": "lora", "out": "e", **wrong})

    return edit


def train(**wrong):
    return bh.train(**{"source": CORPUS, "out": "run", **wrong})


@pytest.mark.parametrize(
    ("call", "argument", "allowed"),
    [
        (lambda: train(source=WORLD), "source", "a Corpus, or the path of a corpus directory"),
        (lambda: train(source=""), "source", "a Corpus, or the path"),
        (lambda: train(source="nowhere"), "source", "a spec TOML, a spec directory"),
        (lambda: train(config="nan0"), "config", "pico, nano, micro"),
        (lambda: train(config={"steps": 3}), "config", "a TrainConfig, such as default_config"),
        (lambda: train(out=3), "out", "a path"),
        (lambda: bh.plan(WORLD), "source", "a Corpus, a Run, or the path of a run"),
        (lambda: bh.plan("nowhere", edits=2), "source", "a corpus directory or a spec"),
        (lambda: bh.plan(CORPUS, exposures=-4), "exposures", "a whole number from 0, or a list"),
        (lambda: bh.plan(CORPUS, table=3), "table", "a polars.DataFrame, or the path of one"),
        (lambda: bh.plan(CORPUS, edits=2, out=3), "out", "a path"),
        (lambda: bh.plan(CORPUS, edits=3, kown=3), "kown", "edits, .*, table, known, force"),
        (lambda: bh.edit("run", "plan", "memitt"), "method", ".*memit"),
        (lambda: bh.plan(CORPUS, edits=2, out="p", force=None), "force", "True or False"),
        (lambda: bh.plan(CORPUS, edits=2, distinct="no"), "distinct", "True or False"),
        (lambda: bh.plan(CORPUS, edits=2, wordings=None), "wordings", "a whole number from 1"),
        (lambda: bh.plan(CORPUS, edits=2, same_object=None), "same_object", "a whole number"),
        (lambda: bh.plan(CORPUS, edits=2, repeats=2**32), "repeats", "a whole number from 1 to"),
        (lambda: bh.plan(CORPUS, edits=2, probes=10**30), "probes", "a whole number up to"),
        (lambda: bh.EditRequest(kind="censor", relation=0, fraction="x"), "fraction", "above 0"),
        (lambda: bh.Grammar("bios-en"), "source", r"TOML text; Grammar.named\('bios-en'\) "),
        (lambda: bh.Grammar("a", b"name"), "source", "TOML text; "),
        (lambda: bh.Grammar(Path("a.toml"), ""), "file", "a text, the name of the grammar"),
        (lambda: CORPUS.write("c", part=3), "part", r"\(i, n\), part i of n"),
        (lambda: CORPUS.write("c", part="0/2"), "part", r"\(i, n\), part i of n"),
        (lambda: CORPUS.write("c", part=(0, "2")), "part", r"\(i, n\), part i of n"),
        (lambda: CORPUS.write("c", part=(0, 10**30)), "part", r"\(i, n\), part i of n"),
        (lambda: CORPUS.write("c", threads=10**30), "threads", "a whole number up to"),
        (lambda: CORPUS.write("c", force="no"), "force", "True or False"),
        (lambda: CORPUS.write("c", threads=-1), "threads", "a whole number from 0"),
        (lambda: CORPUS.write("c", probes=1.5), "probes", "a whole number from 0"),
        (lambda: CORPUS.write(3), "out", "a path"),
        (lambda: bh.gen(WORLD, "c"), "corpus", "a Corpus"),
        (lambda: CORPUS.count_tokens(threads="2"), "threads", "a whole number from 0"),
        (lambda: CORPUS.tokens(-1, 5), "start", "a whole number from 0"),
        (lambda: CORPUS.tokens(0, "a"), "stop", "a whole number from 0"),
        (lambda: CORPUS.tokens(5, 1), "stop", "a range within 0 to 80"),
        (lambda: CORPUS.fill([1, 2]), "out", "a one-dimensional array of uint16"),
        (lambda: CORPUS.fill(np.zeros((2, 2), np.uint16)), "out", "a one-dimensional array"),
        (lambda: CORPUS.fill_tokens(np.zeros(4, np.float32)), "out", "a one-dimensional array"),
        (lambda: CORPUS.fill(np.zeros(8, np.int16)), "out", "a one-dimensional array of uint16"),
        (lambda: CORPUS.fill(np.zeros(8, ">u2")), "out", "a one-dimensional array of uint16"),
        (lambda: CORPUS.fill_tokens(np.zeros(4, np.uint16), -1), "token", "a whole number from 0"),
        (lambda: CORPUS.blocks("a"), "length", "a whole number from 1"),
        (lambda: CORPUS.blocks(8, dtype="int16"), "dtype", "uint16, uint32, int32 or int64"),
        (lambda: CORPUS.blocks(8, dtype=">i4"), "dtype", "uint16, uint32, int32 or int64"),
        (lambda: CORPUS.blocks(8, dtype="tokens"), "dtype", "uint16, uint32, int32 or int64"),
        (lambda: CORPUS.says_facts(0, "2"), "stop", "a whole number from 0"),
        (lambda: CORPUS.spans(0, 2.5), "stop", "a whole number from 0"),
        (lambda: CORPUS.filler_documents(None, 2), "start", "a whole number from 0"),
        (lambda: bh.Corpus(WORLD, background=""), "background", "a path"),
        (lambda: bh.Corpus(WORLD, background=5), "background", "a path"),
        (lambda: bh.Corpus(WORLD, background="s3://a/b"), "background", "a local path"),
        (lambda: CORPUS.decode([-1]), "tokens", "whole numbers 0 to"),
        (lambda: CORPUS.decode([10**6]), "tokens", "ids below"),
        (lambda: CORPUS.decode("S0"), "tokens", "whole numbers 0 to"),
        (lambda: CORPUS.override([1, 2]), "objects", "a mapping of fact to object"),
        (lambda: CORPUS.sample_facts(-1), "count", "a whole number from 0"),
        (lambda: CORPUS.probes(templates="default"), "templates", "a list of names"),
        (lambda: bh.Corpus.open(3), "directory", "a corpus directory"),
        (lambda: bh.Corpus.open("nowhere"), "directory", "a corpus directory"),
        (lambda: bh.Corpus.from_spec(3), "spec", "a spec TOML"),
        (lambda: bh.verify("nowhere"), "directory", "a directory of a corpus"),
        (lambda: bh.facts("nowhere", "f.parquet"), "source", "a spec TOML"),
        (lambda: bh.export("nowhere", "e", to="llmc"), "directory", "a corpus directory"),
        (lambda: bh.EditPlan.load(3), "directory", "a plan directory"),
        (lambda: bh.EditDelta.load(3), "directory", "the directory of a delta"),
        (lambda: bh.EditDelta.load("."), "directory", "the directory of a delta"),
        (lambda: bh.evaluate_suite("r", "recall", out=3), "out", "a new or empty directory"),
        (lambda: bh.evaluate("nowhere", "nowhere"), "plan", "a plan directory"),
        (lambda: bh.recall(3), "model", r"a model or a run, such as behemoth.load\(RUN\)"),
        (lambda: bh.recall("nowhere"), "model", "a training run"),
        (
            lambda: bh.EditDelta({}, "lora", {}, "", 0).apply("run"),
            "model",
            "a model; Run.load_model gives that of a run",
        ),
        (lambda: bh.get_method("lroa"), "method", "ft, ft_l, ft_svd"),
        (lambda: bh.get_method(None), "method", "the name of a method"),
        (lambda: bh.get_method(["ft"]), "method", "the name of a method"),
        (lambda: bh.default_config(["pico"]), "model", "pico, nano, micro"),
        (lambda: bh.make_zoo("z", size=["smoke"]), "size", "smoke, desk"),
        (lambda: bh.check_grammar(None), "grammar", "a grammar file, or"),
        (lambda: bh.train_tokenizer(b"bios-en"), "grammar", "a grammar file, or"),
        (lambda: bh.encode_documents("t.jsonl", None, "o"), "tokenizer", "a directory with"),
        (lambda: bh.push("c", []), "url", "s3://BUCKET/PATH"),
        (lambda: bh.push("c", "memory://c", force=1), "force", "True or False"),
        (lambda: bh.export("c", "e", to="hf", memory="1"), "memory", "a whole number from 1"),
        (lambda: bh.tune([], "run", "t"), "method", "the name of a method"),
        (lambda: bh.tune("ft", "run", "t", objective=[]), "objective", "editing, "),
        (lambda: bh.study("frequency", out="s", workers="2"), "workers", "a whole number from 1"),
        (lambda: bh.study("frequency", out="s", methods=5), "methods", "names among lora"),
        (lambda: bh.study("frequency", out="s", part=3), "part", r"\(i, n\), part i of n"),
        (lambda: bh.load("x" * 300), "path", "a path with names of up to 255 bytes"),
        (lambda: bh.load(""), "path", "a directory of a corpus"),
        (lambda: bh.load(None), "path", "a directory of a corpus"),
        (lambda: bh.study(3, out="s"), "source", "a study file"),
        (lambda: bh.study("frequenzy", out="s"), "source", "a study file, or one of"),
        (lambda: bh.study("nowhere.toml", out="s"), "source", "a study file"),
        (lambda: bh.Results.open("nowhere"), "path", "a study"),
        (lambda: bh.report("nowhere"), "study", "a study"),
        (lambda: bh.Corpus(WORLD, exposures=2, tokenizer=5), "tokenizer", "only with a grammar"),
        (lambda: bh.Corpus(WORLD, exposures=2, grammar=ARRAY), "grammar", "a grammar file, or"),
        (lambda: check_rank(ARRAY, CORPUS), "rank", "first, sequence"),
        (
            lambda: bh.evaluate_suite("r", "recall", measures=ARRAY.reshape(1, 2)),
            "measures",
            "a list of names of measures",
        ),
        (lambda: bh.export("c", "e", to="parquet", progress=3), "progress", "None, a function"),
        (lambda: bh.tune("ft", "run", "t", progress="x"), "progress", "None, a function"),
        (lambda: bh.study("frequency", out="s", progress=3), "progress", "None, a function"),
        (lambda: merge_studies(["s"], out="m", progress=3), "progress", "None, a function"),
        (lambda: run_gates("g", gate=7, progress=3), "progress", "None, a function"),
        (lambda: bh.make_zoo("z", progress=3), "progress", "None, a function"),
    ],
)
def test_it_is_refused(call, argument, allowed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        bh.ArgumentError, match=rf"^argument '{argument}': got .*, allowed: .*{allowed}"
    ):
        call()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("wrong", "argument", "allowed"),
    [
        ({"run": 3}, "run", "a training run"),
        ({"run": CORPUS}, "run", "a training run"),
        ({"run": "nowhere"}, "run", "a training run"),
        ({"plan": 3}, "plan", "a plan directory"),
        ({"plan": "nowhere"}, "plan", "a plan directory"),
        ({"method": None}, "method", "a method, or the name of one"),
        ({"out": ""}, "out", "a path"),
        ({"out": None}, "out", "a directory for the differences"),
        ({"settings": 3}, "settings", "a mapping of names to values"),
        ({"settings": [("steps", 3)]}, "settings", "a mapping of names to values"),
        ({"settings": {"steps": "3"}}, "steps", "a whole number"),
        ({"settings": {"stes": 3}}, "stes", "steps, "),
        ({"stack": "a"}, "stack", "a whole number from 1"),
        ({"single": "no"}, "single", "True or False"),
        ({"sequential": 1}, "sequential", "True or False"),
        ({"force": None}, "force", "True or False"),
        ({"seed": 2**63}, "seed", "a whole number up to 9223372036854775807"),
        ({"stack": 10**30}, "stack", "a whole number up to 9223372036854775807"),
        ({"seed": True}, "seed", "a whole number from 0"),
        ({"device": "gpu"}, "device", "auto, cpu"),
    ],
)
def test_an_edit_is_refused(edit, wrong, argument, allowed, tmp_path):
    with pytest.raises(
        bh.ArgumentError, match=rf"^argument '{argument}': got .*, allowed: {allowed}"
    ):
        edit(**wrong)
    assert not list(tmp_path.iterdir())


def test_numbers_and_flags_of_numpy_are_those_of_python(edit):
    made = edit(seed=np.int64(3), stack=np.int32(2), single=np.bool_(True), settings={"steps": 1})
    assert (made.record.seed, made.record.single) == (3, True)


def test_a_request_takes_numbers_of_numpy():
    plan = bh.plan(CORPUS, edits=np.int64(2), repeats=np.int32(3), exposures=np.array([2]))
    assert plan.request == bh.plan(CORPUS, edits=2, repeats=3, exposures=(2,)).request


def test_settings_beside_a_method_that_has_its_own_are_refused(edit):
    from behemoth.edit import get_method

    with pytest.raises(
        bh.ArgumentError,
        match=r"argument 'settings': got .*, allowed: none for a method that already",
    ):
        edit(method=get_method("lora"), settings={"steps": 3})


@pytest.mark.parametrize("device", ["gpu", 3, "meta"])
def test_a_model_goes_to_no_device_that_is_not_there(trained, device):
    with pytest.raises(bh.ArgumentError, match=r"argument 'device': got .*, allowed: auto, cpu"):
        bh.load(trained).load_model(device)


def test_an_edit_is_no_delta(edit):
    edit(settings={"steps": 1})
    with pytest.raises(
        bh.ArgumentError, match="got e, which is an edit, allowed: the directory of a delta"
    ):
        bh.EditDelta.load("e")
    (delta,) = bh.load("e").deltas().values()
    delta.save("d")
    Path("d/delta.safetensors").write_bytes(b"half")
    with pytest.raises(bh.CorpusError, match=r"d/delta\.safetensors is damaged"):
        bh.EditDelta.load("d")
