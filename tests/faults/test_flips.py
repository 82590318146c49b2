"""One flipped bit, in any file of any directory: it is noticed, and the file is named."""

import json
import random
import shutil
import tomllib
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

import behemoth as bh
from behemoth.edit.traced import TracedSite, TraceRecord
from behemoth.evaluate.suites.suite import Found, SuiteResult, Taken
from behemoth.study.gates import run_gates
from behemoth.study.gates.stored import write_gates
from behemoth.support.digests import sealed
from behemoth.support.errors import CorpusError
from behemoth.tune.record import Tried, TuningDirectory
from behemoth.zoo import SIZES

KINDS = ("corpus", "run", "plan", "edit", "suite", "trace", "tuning", "study", "gates", "export",
         "zoo")  # fmt: skip
OTHERS = (
    "suite",
    "trace",
    "tuning",
    "gates",
    "zoo",
)  # by their own writers
SMALL = 4096  # bytes: every bit of such a file is flipped if FAULTS is large enough
LARGE = 1000  # bits of a larger file
BITS = 50  # of a file, times FAULTS
# Locks are empty, covariances and events are made again or read by nobody, and what was asked for
# (study.toml) is the user's own to change.
LEFT_OUT = (".lock", ".workers.lock", "study.toml")


def files_of(place):
    return sorted(
        path
        for path in place.rglob("*")
        if path.is_file() and path.stat().st_size and path.name not in LEFT_OUT
        if not path.name.endswith(".lock")
    )


def named(place, file):
    """Whether `verify` complains of a file by its name."""
    try:
        found = bh.verify(place)
    except (CorpusError, bh.ArgumentError) as error:
        return file.name in str(error)
    said = [row["file"] for row in found.bad] + list(found.missing)
    # A shard that differs from its record: both are recomputed, and it is the shard that is named.
    names = {str(file.relative_to(place)), str(file.relative_to(place).with_suffix(".bin"))}
    return not found.ok and not names.isdisjoint(said)


def means_the_same(file, before):
    """Whether the bit changed nothing that is said: the e of a number may be an E."""
    try:
        read = tomllib.loads if file.suffix == ".toml" else json.loads
        return read(file.read_bytes().decode()) == read(before.decode())
    except ValueError:
        return False


def bits_of(file, rounds):
    """The bits to flip: one at random, or, with FAULTS, each of a small file and many of others."""
    bits = 8 * file.stat().st_size
    if rounds == 1:
        return [random.Random(file.name).randrange(bits)]
    most = BITS * rounds if bits <= 8 * SMALL else min(LARGE, BITS * rounds)
    return random.Random(file.name).sample(range(bits), min(bits, most))


@pytest.fixture(scope="module")
def others(directories, tmp_path_factory):
    """A suite, a trace, a tuning with its plan, gates with the units of a study, and a zoo."""
    place = tmp_path_factory.mktemp("others")
    frame = pl.DataFrame({"edit": [0, 1]})
    found = Taken("score", "a mean", 1, Found(0.5, 0.25, 0.75, 2, "edits"))
    versions = {"behemoth": "0"}
    SuiteResult(
        "editing", "edit", "hash", None, "after", "hash", (found,), 1.0, versions, frame
    ).save(place / "suite")
    (place / "trace").mkdir()
    frame.write_parquet(place / "trace" / "facts.parquet")
    sites = (TracedSite("subject", 1, 0.5, 0.25, 0.75),)
    TraceRecord("hash", 2, 10, 3.0, 1, 0, sites).write(place / "trace", "facts.parquet")
    tuning = TuningDirectory(place / "tuning")
    tuning.begin({"method": "lora", "settings": {"steps": 2}})
    trials = [Tried(number, {"rank": 1}, 0.5, {"efficacy": 0.5}, 0.25) for number in range(2)]
    for tried in trials:
        tuning.write(tried)
    tuning.conclude(trials, "lora", "editing", 8)
    shutil.copytree(directories / "plan", place / "tuning" / "plan")
    for folder in ("models", "plans", "trials"):
        shutil.copytree(directories / "study" / folder, place / "gates" / folder)
    write_gates(place / "gates", {1: {"number": 1, "verdict": "reproduced", "rows": [{"x": 1.5}]}})
    (place / "gates" / "measures").mkdir()
    measured = {"gate": 1, "seed": 0, "seconds": 0.5, "row": {"x": 1.5}}
    file = place / "gates" / "measures" / "01-0123456789abcdef.json"
    file.write_text(json.dumps(sealed(measured)))
    with pytest.MonkeyPatch.context() as patch:
        sizes = {"worlds": 1, "inits": 1, "subjects": 20, "edits": 1, "steps": 2, "batch_size": 4}
        tiny = replace(SIZES["smoke"], **sizes)
        patch.setitem(SIZES, "smoke", tiny)
        bh.make_zoo(place / "zoo", workers=1)  # others would load torch anew; tests/zoo has them
    return place


@pytest.mark.timeout(7200)  # with FAULTS
@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_in_any_file_is_named(directories, others, tmp_path, kind, rounds):
    source = others if kind in OTHERS else directories
    assert bh.verify(source / kind).ok
    shutil.copytree(source, tmp_path / "all")
    place = tmp_path / "all" / kind
    unnoticed = []
    for file in files_of(place):
        before = file.read_bytes()
        for bit in bits_of(file, rounds(1)):
            flipped = bytearray(before)
            flipped[bit // 8] ^= 1 << bit % 8
            file.write_bytes(flipped)
            if not named(place, file) and not means_the_same(file, before):
                unnoticed.append((str(file.relative_to(place)), bit))
            file.write_bytes(before)
    assert not unnoticed
    assert bh.verify(place).ok


def read_run(place):
    bh.load(place / "run").load_model("cpu")


def read_edit(place):
    bh.load(place / "edit").deltas()


def read_plan(place):
    bh.EditPlan.load(place / "plan")


def read_study(place):
    results = bh.load(place / "study")
    for name in ("edits", "probes", "geometry", "traces", "recall", "models"):
        getattr(results, name).collect()


@pytest.mark.parametrize(
    ("pattern", "read"),
    [
        ("run/model.safetensors", read_run),
        ("run/config.json", read_run),
        ("run/run.json", read_run),
        ("run/spec.toml", read_run),
        ("edit/delta/delta.safetensors", read_edit),
        ("edit/delta/delta.json", read_edit),
        ("edit/edit.json", read_edit),
        ("plan/probes.parquet", read_plan),
        ("plan/plan.toml", read_plan),
        ("study/trials/*/edits.parquet", read_study),
        ("study/trials/*/geometry.parquet", read_study),
        ("study/trials/*/traces.parquet", read_study),
        ("study/trials/*/trial.json", read_study),
        ("study/models/*/recall.parquet", read_study),
        ("study/models/*/model.json", read_study),
        ("study/study.json", read_study),
    ],
)
def test_whoever_reads_a_file_notices(copied, pattern, read, flip, rounds):
    read(copied)
    (file,) = copied.glob(pattern)
    before = file.read_bytes()
    for seed in range(rounds(2)):
        flip(file, seed)
        if not means_the_same(file, before):
            with pytest.raises(CorpusError) as caught:
                read(copied)
            assert file.name in str(caught.value) and "\n" not in str(caught.value)
        file.write_bytes(before)
    read(copied)


def test_what_was_changed_on_purpose_can_be_read(copied, run):
    import torch
    from safetensors.torch import load_file, save_file

    file = copied / "run" / "model.safetensors"
    tensors = load_file(file)
    name = next(iter(tensors))
    tensors[name] = torch.zeros_like(tensors[name])
    save_file(tensors, file, metadata={"format": "pt"})
    words = ("evaluate", copied / "run", "--plan", copied / "plan", "--out", copied / "f.parquet")
    refused = run(*words).refused(1)
    assert refused == f"{file} is damaged: it is not what was written"
    assert not (copied / "f.parquet").exists()
    assert run(*words, "--no-verify").code == 0
    # So is an edit of the weights as they were; one of those that are there says so.
    edited = ("evaluate", copied / "edit", "--plan", copied / "plan", "--out", copied / "g.parquet")
    assert run(*edited, "--no-verify").code == 0
    with bh.unchecked():
        bh.load(copied / "run").load_model("cpu")


def test_directories_of_earlier_versions_are_read_and_said_to_be_not_hashed(copied, run):
    for pattern, read in (
        ("run/run.json", read_run), ("edit/edit.json", read_edit),
        ("edit/delta/delta.json", read_edit), ("study/study.json", read_study),
        ("study/trials/*/trial.json", read_study), ("study/models/*/model.json", read_study),
        ("study/models/*/run.json", read_study),
    ):  # fmt: skip
        (file,) = copied.glob(pattern)
        record = json.loads(file.read_text())
        record.pop("blake3"), record.pop("files", None)
        file.write_text(json.dumps(record))
        read(copied)
    head = (copied / "plan" / "plan.toml").read_text().partition("\n[files]")[0]
    lines = [line for line in head.splitlines() if not line.startswith("blake3")]
    (copied / "plan" / "plan.toml").write_text("\n".join(lines) + "\n")
    read_plan(copied)
    (copied / "corpus" / "sums.json").unlink()
    for kind in ("corpus", "run", "plan", "edit", "study"):
        ran = run("verify", copied / kind)
        assert ran.code == 0 and "not hashed: written by an earlier version" in ran.err


def test_verify_names_a_record_of_a_study_that_is_gone(copied):
    place = copied / "study"
    for pattern in ("models/*/run.json", "plans/*/plan.toml", "trials/*/deltas/00000/delta.json"):
        (file,) = place.glob(pattern)
        before = file.read_bytes()
        file.unlink()
        found = bh.verify(place)
        assert found.missing == [str(file.relative_to(place))] and not found.bad
        file.write_bytes(before)
    assert bh.verify(place).ok


def test_a_study_file_that_is_no_text_is_named(copied, run):
    file = copied / "study" / "study.toml"
    text = file.read_bytes()
    file.write_bytes(text[:43] + b"\xf7" + text[44:])
    said = f"{file} is damaged: byte 43 is not UTF-8"
    for words in (("report", copied / "study"), ("merge", copied / "study", "--out", copied / "m")):
        assert run("study", *words).refused(1) == said
    assert not (copied / "m").exists() and not (copied / "study" / "report").exists()


def test_a_damaged_trial_is_made_again(copied, in_process_engine, flip, caplog, monkeypatch):
    from behemoth.study.file.spec import Study
    from behemoth.study.work import run as work

    monkeypatch.setattr(work, "_engine", lambda name, path, *_: in_process_engine(path))
    (file,) = copied.glob("study/trials/*/trial.json")
    flip(file, 0)
    study = Study.parse((copied / "study" / "study.toml").read_text())
    assert work.run_study(study, copied / "study").carried_out == 1
    assert f"{file} is damaged" in caplog.text and "this trial is made again" in caplog.text
    assert bh.verify(copied / "study").ok


def test_a_corpus_without_its_probes_is_not_finished(copied, run):
    place = Path(copied) / "corpus"
    (place / "sums.json").unlink()
    shutil.rmtree(place / "probes")
    ran = run("verify", place)
    assert ran.code == 1 and "sums.json (run the same `behemoth gen` again)" in ran.err


def test_gen_mends_damaged_probes(directories, copied, flip):
    flip(copied / "corpus" / "probes" / "default.parquet", 0)
    assert not bh.verify(copied / "corpus").ok
    corpus = bh.load(directories / "corpus")
    corpus.write(copied / "corpus", probes=20)
    assert bh.verify(copied / "corpus").ok


def test_the_name_of_a_seal_is_vouched_for_too(directories, others, tmp_path):
    shutil.copytree(others, tmp_path / "all")
    shutil.copytree(directories / "export", tmp_path / "all" / "export")
    for name in ("suite/suite.json", "tuning/tuning.json", "tuning/trials/0000.json",
                 "tuning/plan/plan.toml", "trace/trace.json", "gates/gates.json",
                 "gates/measures/01-0123456789abcdef.json", "export/export.json"):  # fmt: skip
        file = tmp_path / "all" / name
        before = file.read_text()
        assert "blake3" in before
        file.write_text(before.replace("blake3", "blaje3"))
        assert named(tmp_path / "all" / name.partition("/")[0], file), name
        file.write_text(before)


def test_a_changed_suite_or_tuning_is_refused(others, tmp_path):
    shutil.copytree(others, tmp_path / "all")
    suite, tuning = tmp_path / "all" / "suite", tmp_path / "all" / "tuning"
    (suite / "suite.json").write_text(
        (suite / "suite.json").read_text().replace('"value": 0.5', '"value": 0.9')
    )
    with pytest.raises(CorpusError, match=r"suite\.json is damaged: it is not what was written"):
        bh.load(suite)
    (tuning / "tuning.json").write_text(
        (tuning / "tuning.json").read_text().replace('"lora"', '"rome"')
    )
    with pytest.raises(CorpusError, match=r"tuning\.json is damaged: it is not what was written"):
        TuningDirectory(tuning).begin({"method": "rome", "settings": {"steps": 2}})
    shutil.copy(others / "suite" / "suite.json", suite)
    (suite / "frame.parquet").unlink()
    with pytest.raises(CorpusError, match=r"frame\.parquet is missing"):
        bh.load(suite)


def test_a_suite_and_a_tuning_of_earlier_versions_are_read(others, tmp_path):
    shutil.copytree(others, tmp_path / "all")
    for name in ("suite/suite.json", "tuning/tuning.json", "tuning/trials/0000.json"):
        file = tmp_path / "all" / name
        record = json.loads(file.read_text())
        record.pop("blake3"), record.pop("files", None)
        file.write_text(json.dumps(record))
    assert bh.load(tmp_path / "all" / "suite")["score"] == 0.5
    assert len(TuningDirectory(tmp_path / "all" / "tuning").tried()) == 2
    for kind in ("suite", "tuning"):
        found = bh.verify(tmp_path / "all" / kind)
        assert found.ok and found.unhashed == [f"{kind}.json"]


def test_verify_names_a_deleted_trial_of_a_tuning_and_skips_other_files(others, tmp_path):
    tuning = tmp_path / "tuning"
    shutil.copytree(others / "tuning", tuning)
    trials = tuning / "trials"
    for name in ("0000-old.json", "00001.json", "0.json", "notes.json"):
        (trials / name).write_text("not a trial")
    assert TuningDirectory(tuning).trial_numbers() == [0, 1]
    assert bh.verify(tuning).ok
    # A trial beyond the digests, as a resumed tuning has them, is read itself.
    record = (trials / "0001.json").read_text()
    (trials / "0002.json").write_text(record.replace("0.25", "0.75"))
    [bad] = bh.verify(tuning).bad
    assert bad["file"] == "trials/0002.json" and "is damaged" in bad["reason"]
    (trials / "0002.json").unlink()
    (trials / "0001.json").unlink()
    found = bh.verify(tuning)
    assert found.missing == ["trials/0001.json"] and not found.bad


def test_a_trace_of_an_earlier_version_is_told_what_is_missing(others, tmp_path):
    trace = tmp_path / "trace"
    shutil.copytree(others / "trace", trace)
    assert bh.verify(trace).ok
    (trace / "trace.json").unlink()
    with pytest.raises(bh.ArgumentError, match=r"a trace \(with trace\.json\)"):
        bh.verify(trace)


def test_a_tuning_without_a_result_is_not_finished(tmp_path):
    TuningDirectory(tmp_path / "tuning").begin({"method": "lora"})
    with pytest.raises(CorpusError, match="is not finished: run the same `behemoth tune` again"):
        bh.verify(tmp_path / "tuning")


def test_changed_gates_are_refused_and_those_of_earlier_versions_are_read(others, run, tmp_path):
    place = tmp_path / "gates"
    shutil.copytree(others / "gates", place)
    file = place / "gates.json"
    before = file.read_text()
    file.write_text(before.replace("reproduced", "not reproduced"))
    said = f"{file} is damaged: it is not what was written"
    words = ("study", "gates", "--out", place, "--dry-run")
    assert run(*words).refused(1) == said
    assert run(*words, "--pages", tmp_path / "pages").refused(1) == said
    with pytest.raises(CorpusError, match="is damaged"):
        run_gates(place, gates=[])
    assert file.read_text() != before and not (tmp_path / "pages").exists()
    record = json.loads(before)
    record.pop("blake3")
    file.write_text(json.dumps(record))
    found = bh.verify(place)
    assert found.ok and found.unhashed == ["gates.json"]
    assert run_gates(place, gates=[]).gates == ()  # which seals it
    assert file.read_text() == before
