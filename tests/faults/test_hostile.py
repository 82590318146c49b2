"""Directories and files of others: refused in one line, without hanging, running or unpickling."""

import json
import os
import re
import shutil
import struct
import sys

import polars as pl
import pytest

import behemoth as bh
from behemoth.study.file.spec import Study

RAW = re.compile(
    r"object has no attribute|JSON serializable|recursion depth|Traceback|SafetensorError|Errno|"
    r"HeaderTooLarge|ComputeError|NoneType|not subscriptable|frame #|codec can't decode|"
    r"out of specification|parquet: "
)

# No signal ends an `open` that waits within a library, as that of a pipe does: the process ends.
in_time = pytest.mark.timeout(60, method="thread")


def evaluated(copied, *words):
    return (
        "evaluate",
        copied / "run",
        "--plan",
        copied / "plan",
        "--out",
        copied / "f.parquet",
        *words,
    )


def one_line(ran):
    """The refusal, which says in our words what is wrong."""
    message = ran.refused(ran.code)
    assert ran.code in (1, 2) and not RAW.search(message), message
    return message


def rewritten(file, **values):
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def test_no_pickle_is_opened(copied, run):
    import torch

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(copied / "unpickled"),)

    weights = copied / "run" / "model.safetensors"
    torch.save({"x": Evil()}, copied / "run" / "pytorch_model.bin")
    shutil.copy(copied / "run" / "pytorch_model.bin", weights)
    message = one_line(run(*evaluated(copied, "--no-verify")))
    assert message == f"{weights} is damaged: it is not a valid safetensors"
    weights.unlink()
    assert "which is not finished" in one_line(run(*evaluated(copied, "--no-verify")))
    shutil.copy(copied / "run" / "pytorch_model.bin", copied / "edit/delta/delta.safetensors")
    words = ("evaluate", copied / "edit", "--plan", copied / "plan", "--out", copied / "f.parquet")
    one_line(run(*words, "--no-verify"))
    assert not (copied / "unpickled").exists()


def test_no_code_of_a_directory_is_run(copied, run):
    (copied / "run" / "evil.py").write_text(f"import os; os.mkdir({str(copied / 'ran')!r})")
    own = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}
    for values in ({"auto_map": own}, {"auto_map": own, "model_type": "evil"}):
        rewritten(copied / "run" / "config.json", **values)
        run(*evaluated(copied, "--no-verify"))
        assert not (copied / "ran").exists() and "evil" not in sys.modules


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"num_hidden_layers": 3_000_000}, r"num_hidden_layers is 3000000, and .* has 2"),
        ({"num_hidden_layers": "many"}, "num_hidden_layers is many"),
        ({"hidden_size": 48}, "does not fit config.json"),
        ({"vocab_size": 7}, "does not fit config.json"),
        ({"num_attention_heads": 0}, "does not fit config.json"),
        ({"model_type": "no such model"}, "got no such model, allowed: gpt_neox"),
        ({"model_type": ["gpt_neox"]}, r"got \['gpt_neox'\] .*, allowed: gpt_neox"),
    ],
)
def test_a_configuration_that_the_weights_do_not_fit(copied, run, values, said):
    rewritten(copied / "run" / "config.json", **values)
    assert re.search(said, one_line(run(*evaluated(copied, "--no-verify"))))


def test_weights_that_are_no_numbers(copied, run):
    from safetensors.torch import load_file, save_file

    file = copied / "run" / "model.safetensors"
    tensors = load_file(file)
    tensors["gpt_neox.final_layer_norm.bias"][0] = float("nan")
    save_file(tensors, file, metadata={"format": "pt"})
    message = one_line(run(*evaluated(copied, "--no-verify")))
    assert message.endswith("gpt_neox.final_layer_norm.bias contains NaN or infinity")


@pytest.mark.parametrize(
    ("place", "verb"),
    [("corpus/tokens/00000.bin", "verify"), ("corpus/tokens/00000.bin", "inspect"),
     ("corpus/tokens/00000.bin", "export"), ("corpus/probes/default.parquet", "verify"),
     ("run/model.safetensors", "verify"), ("run/model.safetensors", "evaluate"),
     ("run/config.json", "evaluate"),
     ("export/00000.bin", "verify")],
)  # fmt: skip
@in_time
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(copied, run, place, verb):
    file = copied / place
    if not file.exists():
        (file,) = sorted((copied / "export").rglob("*.bin"))[:1]
    file.unlink()
    os.mkfifo(file)
    directory = copied / place.partition("/")[0]
    words = {
        "export": ("export", directory, "--to", "llmc", "--out", copied / "new"),
        "evaluate": evaluated(copied),
    }.get(verb, (verb, directory))
    assert file.name in one_line(run(*words))


PIPES = (
    "corpus/tokens/00009.bin", "corpus/notes", "run/checkpoints/step-9", "plan/notes",
    "edit/deltas/00009", "export/notes", "study/cache/costs/x.json", "study/cache/notes",
    "study/models/x/model.json", "study/plans/x/plan.toml", "study/trials/x/trial.json",
)  # fmt: skip


@pytest.mark.parametrize("place", PIPES)
@pytest.mark.parametrize("linked", [False, True])
@in_time
def test_a_pipe_beside_the_files_is_named_and_not_opened(copied, run, place, linked):
    file = copied / place
    file.parent.mkdir(parents=True, exist_ok=True)
    pipe = copied / "pipe" if linked else file
    os.mkfifo(pipe)
    if linked:
        file.symlink_to(pipe)
    directory = copied / place.partition("/")[0]
    assert run("verify", directory).refused(1) == f"{file} is not a regular file"


@in_time
def test_a_pipe_beside_the_weights_of_a_model_is_refused(copied):
    from behemoth.train.model_source import weights_digest

    os.mkfifo(copied / "run" / "x.safetensors")
    with pytest.raises(bh.CorpusError, match=r"x\.safetensors: not a regular file"):
        weights_digest(copied / "run")


@in_time
def test_a_pipe_in_the_place_of_a_record_is_not_waited_for(copied, tmp_path):
    from behemoth.study.directory import StudyDirectory
    from behemoth.support.digests import read_sealed
    from behemoth.tune.record import TuningDirectory

    study = StudyDirectory(copied / "study")
    name = study.read().trials[0].id
    file = study.trial(name) / "trial.json"
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(bh.CorpusError, match=r"trial\.json is not a regular file"):
        study.trial_record(name)
    with pytest.raises(bh.CorpusError, match="is not a regular file"):
        read_sealed(file, "a trial")
    tuning = TuningDirectory(tmp_path / "tuning")
    tuning.begin({"method": "lora"})
    (tmp_path / "tuning" / "trials").mkdir()
    os.mkfifo(tmp_path / "tuning" / "trials" / "0000.json")
    with pytest.raises(bh.CorpusError, match=r"0000\.json is not a regular file"):
        tuning.trial(0)


def varint(number):
    data = b""
    while number > 127:
        data, number = data + bytes([number & 127 | 128]), number >> 7
    return data + bytes([number])


@pytest.mark.parametrize(
    "words",
    [("import", "BIG", "--out", "o"), ("plan", "run", "--table", "BIG", "--out", "o"),
     ("plan", "run", "--edits", "1", "--known", "BIG", "--out", "o")],
)  # fmt: skip
def test_a_table_that_claims_more_rows_than_it_can_have(copied, run, words, monkeypatch):
    """Polars would take 16 GiB a column for them, and end the process where there are none."""
    monkeypatch.chdir(copied)
    rows = {"subject": range(300), "relation": [0] * 300, "object": [1] * 300, "fact": range(300)}
    pl.DataFrame(rows).write_parquet("small")
    data = (copied / "small").read_bytes()
    (length,) = struct.unpack("<I", data[-8:-4])
    footer = data[-8 - length : -8].replace(varint(2 * 300), varint(2 * 2**31))
    end = struct.pack("<I", len(footer)) + b"PAR1"
    (copied / "BIG").write_bytes(data[: -8 - length] + footer + end)
    assert "BIG" in one_line(run(*words))
    assert not (copied / "o").exists()


MANIFESTS = [
    "[]",
    "3",
    '{"spec": 3}',
    '{"format_version": 2, "spec": {"world": 3, "corpus": 4}, "shards": 5}',
    '{"format_version": 2, "complete": true, "spec": {"world": {}, "corpus": {}}, "shards": [3]}',
    "[" * 100_000,
]


@pytest.mark.parametrize("text", MANIFESTS, ids=range(len(MANIFESTS)))
def test_a_manifest_that_is_none(copied, run, text):
    (copied / "corpus" / "manifest.json").write_text(text)
    for words in (("verify",), ("inspect",), ("export", "--to", "llmc", "--out", copied / "o")):
        assert "manifest.json is damaged" in one_line(run(words[0], copied / "corpus", *words[1:]))


def test_a_manifest_leads_nowhere_else(copied, run):
    (copied / "secret").write_bytes((copied / "corpus" / "tokens" / "00000.bin").read_bytes())
    file = copied / "corpus" / "manifest.json"
    shards = json.loads(file.read_text())["shards"]
    rewritten(file, shards=[{**shards[0], "file": "../secret"}])
    words = ("export", copied / "corpus", "--to", "llmc", "--out", copied / "o")
    assert "manifest.json is damaged" in one_line(run(*words))
    assert not (copied / "o").exists()


def test_digests_lead_nowhere_else(copied, run):
    from behemoth.support.digests import sealed

    for record in ("run/run.json", "corpus/sums.json"):
        values = json.loads((copied / record).read_text())
        values.pop("blake3")
        values["files"]["../secret"] = "0" * 64
        (copied / record).write_text(json.dumps(sealed(values)))
        ran = run("verify", (copied / record).parent)
        assert ran.code == 1 and "../secret: leads out of the directory" in ran.err


RECORDS = ["[]", "3", "null", "{", '{"status": 3, "config": {}}', "[" * 100_000]


@pytest.mark.parametrize("text", RECORDS, ids=range(len(RECORDS)))
def test_a_record_that_is_none(copied, run, text):
    for kind, name in (("run", "run.json"), ("edit", "edit.json"), ("study", "study.json"),
                       ("export", "export.json"), ("edit/delta", "delta.json")):  # fmt: skip
        (copied / kind / name).write_text(text)
        assert name in one_line(run("inspect", copied / kind)), kind


@pytest.mark.parametrize(
    ("name", "verbs"),
    [
        ("suite.json", ("verify", "inspect")),
        ("tuning.json", ("verify", "inspect")),
        ("manifest.json", ("verify", "inspect", "push")),
        ("tokens/00000.json", ("push",)),
    ],
)
def test_a_record_that_is_nested_too_deep(copied, run, name, verbs):
    place = copied / ("corpus" if name in ("manifest.json", "tokens/00000.json") else "other")
    (place / name).parent.mkdir(exist_ok=True)
    (place / name).write_text("[" * 100_000)
    for verb in verbs:
        target = (f"file://{copied}/store",) if verb == "push" else ()
        ran = run(verb, place, *target)
        assert ran.code == 1 and name in ran.err and not RAW.search(ran.err), verb


NO_SETTINGS = ["[]", "[" * 100_000, '{"a": ' * 100_000, f'{{"a": "{"b" * (1 << 20)}"}}']


@pytest.mark.parametrize("text", NO_SETTINGS, ids=range(len(NO_SETTINGS)))
def test_settings_of_a_model_that_are_none(copied, run, text):
    from behemoth.train.model_source import generation_of, model_of, read_config

    place, corpus = copied / "run", bh.load(copied / "corpus")
    for name, read in (("config.json", read_config), ("generation_config.json", generation_of)):
        before = (place / name).read_bytes()
        (place / name).write_text(text)
        with pytest.raises(bh.CorpusError, match=f"{name} is damaged: it is not a valid"):
            read(place)
        (place / name).write_bytes(before)
    (place / "tokenizer.json").write_text(text)  # which has no vocabulary to compare
    assert model_of(place, corpus).directory == place
    (copied / "c.json").write_text(text)
    words = ("train", copied / "corpus", "--config", copied / "c.json", "--out", copied / "o")
    assert "c.json, allowed: a file with one JSON object" in one_line(run(*words))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = 2020-01-01", "a is a date"),
        ("[world]\nsubjects = [12:00:00]", r"world\.subjects\[0\] is a time"),
        ("a = " + "[" * 5000, "nested too deep"),
    ],
)
def test_toml_that_no_table_here_has_a_use_for(tmp_path, run, text, said):
    file = tmp_path / "s.toml"
    file.write_text(text)
    for words in (("gen", "--dry-run", "--spec", file), ("study", "run", file, "--dry-run"),
                  ("inspect", file), ("train", file, "--out", tmp_path / "o")):  # fmt: skip
        assert re.search(said, one_line(run(*words)))


@pytest.mark.parametrize(
    "words",
    [("gen", "--dry-run", "--spec"), ("grammar", "check"), ("gen", "--dry-run", "--grammar"),
     ("inspect",), ("study", "run", "--dry-run"), ("import", "--out", "o"),
     ("train", "--out", "o")],
    ids=lambda words: words[0],
)  # fmt: skip
def test_text_that_is_not_utf8(tmp_path, run, words, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b"# caf\xe9\n[world]\n")
    message = one_line(run(*words, "latin.toml"))
    assert re.search(r"got \S*latin.toml \(not UTF-8 at byte 5\), allowed: UTF-8 text", message)


def test_a_table_that_cannot_be_read(tmp_path, run, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.parquet").write_bytes(b"PAR1 and no footer")
    (tmp_path / "x.csv").write_text("subject,relation,object\n1,0,2\n1,0,2,3,4,5\n")
    for name, kind in (("x.parquet", "Parquet"), ("x.csv", "CSV")):
        message = one_line(run("import", name, "--out", "o"))
        assert f"got {name}, which is not a valid {kind} file, allowed: a rel" in message


def test_a_grid_that_nobody_could_carry_out():
    axes = "\n".join(f'"world.{name}" = {list(range(210))}' for name in ("seed", "subjects", "x"))
    text = f'name = "x"\nquestion = "y?"\n[[method]]\nname = "lora"\n[grid]\n{axes}\n'
    with pytest.raises(bh.ArgumentError, match="got 9,261,000 points, allowed: up to 100,000"):
        Study.parse(text)
    text = text.replace("[grid]", "[method.grid]").replace('"world.', '"')
    with pytest.raises(bh.ArgumentError, match="got 9,261,000 points"):
        Study.parse(text)


QUICK = ("--model", "pico", "--steps", "2", "--block-length", "32", "--no-tensorboard")
EDIT = ("edit", "run", "--plan", "plan", "--method", "lora")


@pytest.mark.parametrize(
    "words",
    [
        *(("train", "corpus", *QUICK, *word) for word in (
            ("--device", "meta"), ("--batch-size", "1e15"), ("--threads", "1e9"),
            ("--learning-rate", "inf"), ("--learning-rate", "nan"), ("--weight-decay", "inf"),
            ("--clip", "inf"), ("--seed", str(2**70)), ("--block-length", "1e12"),
        )),
        ("train", "corpus", "--model", "pico", "--epochs", "inf"),
        *((*EDIT, *word) for word in (
            ("--set", "layers=99"), ("--set", "learning_rate=inf"), ("--set", f"steps={2**70}"),
            ("--set", "learning_rate=nan"), ("--device", "cuda:99"), ("--device", "meta"),
        )),
    ],
    ids=lambda words: " ".join(words[-2:]),
)  # fmt: skip
def test_what_is_refused_leaves_nothing_behind(copied, run, monkeypatch, words):
    monkeypatch.chdir(copied)
    ran = run(*words, "--out", "o")
    one_line(ran)
    assert ran.code == 2 and not (copied / "o").exists()


def test_settings_out_of_a_file_are_as_limited():
    for value in (float("inf"), float("nan")):
        with pytest.raises(bh.ArgumentError, match="finite"):
            bh.default_config("pico", learning_rate=value)
    with pytest.raises(bh.ArgumentError, match="a whole number below"):
        bh.default_config("pico", seed=2**70)
    with pytest.raises(bh.ArgumentError, match="from 0 to"):
        bh.TrainConfig(clip=float("inf"))


def test_out_of_memory_at_the_first_step_leaves_nothing_behind(copied, run, monkeypatch):
    from behemoth.train import update

    def full(self, *others):
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 1 bytes")

    monkeypatch.setattr(update.Updater, "__call__", full)
    monkeypatch.chdir(copied)
    assert "out of memory on cpu" in one_line(run("train", "corpus", *QUICK, "--out", "o"))
    assert not (copied / "o").exists()
    before = (copied / "run" / "run.json").read_bytes()
    words = ("train", "corpus", *QUICK, "--seed", 1, "--force", "--out", "run")
    one_line(run(*words))
    assert (copied / "run" / "run.json").read_bytes() == before
    assert bh.verify("run").ok


@pytest.mark.parametrize(
    "words",
    [("gen", "--subjects", "10"), ("train", "corpus"), EDIT, ("plan", "run", "--edits", "1"),
     ("export", "corpus", "--to", "llmc"), ("study", "run", "frequency"),
     ("import", "study/study.toml")],
    ids=lambda words: words[0],
)  # fmt: skip
def test_a_directory_is_neither_a_file_nor_nothing(copied, run, monkeypatch, words):
    monkeypatch.chdir(copied)
    before = sorted(copied.iterdir())
    for out in ("", "run/run.json"):
        ran = run(*words, "--out", out)
        one_line(ran)
        assert ran.code == 2, ran.err
    assert sorted(copied.iterdir()) == before


def test_no_planted_link_is_followed_out_of_a_directory(copied, run):
    precious = copied / "precious"
    precious.write_text("precious")
    out = copied / "planted"
    out.mkdir()
    plan = ("plan", copied / "run", "--edits", 1, "--repeats", 1, "--probes", 1)
    assert run(*plan, "--out", copied / "straight").code == 0
    for path in sorted((copied / "straight").iterdir()):
        name = path.name
        for planted in (f".{name}.tmp", f"{name}.tmp", f".{name}.{os.getpid()}.tmp", f"{name}~"):
            (out / planted).symlink_to(precious)
    run(*plan, "--out", out, "--force")
    assert precious.read_text() == "precious"
