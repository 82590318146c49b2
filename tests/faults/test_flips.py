"""One flipped bit, in any file of any directory: it is noticed, and the file is named."""

import json
import shutil
import tomllib
from pathlib import Path

import pytest

import behemoth as bh
from behemoth.support.errors import CorpusError

KINDS = ("corpus", "run", "plan", "edit", "study", "export")
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


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_in_any_file_is_named(directories, tmp_path, kind, flip, rounds):
    assert bh.verify(directories / kind).ok
    shutil.copytree(directories, tmp_path / "all")
    place = tmp_path / "all" / kind
    unnoticed = []
    for file in files_of(place):
        before = file.read_bytes()
        for seed in range(rounds(1)):
            byte = flip(file, seed)
            if not named(place, file) and not means_the_same(file, before):
                unnoticed.append((str(file.relative_to(place)), byte, seed))
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
