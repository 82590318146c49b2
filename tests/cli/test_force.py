"""Nothing is lost: what --force replaces is there until its successor is whole."""

import json
import os
import re
import shutil
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from behemoth.plan import EditPlan
from behemoth.support.locks import lock_folder
from behemoth.support.replacement import RECORDS

COMMANDS = ["gen", "import", "export", "plan", "train", "edit"]
QUICK = (
    "--steps", "4", "--block-length", "32", "--batch-size", "4", "--threads", "1",
    "--model", "pico", "--no-tensorboard",
)  # fmt: skip


@dataclass
class Case:
    """What makes a directory, what then makes another one of it, and what is refused."""

    old: tuple
    new: tuple
    refused: dict = field(default_factory=dict)
    record: str = ""
    code: int = 1  # where --force is missing


def corpus(run, place, *words):
    words = words or ("--subjects", 30, "--relations", 2, "--objects", 5)
    assert run("gen", *words, "--exposures", 4, "--probes", 0, "--out", place).code == 0
    return place


def case(name, run, tmp_path, trained):
    there = tmp_path / "inputs"
    there.mkdir()
    if name == "gen":
        base = ("gen", "--subjects", 30, "--relations", 2)
        return Case(
            (*base, "--objects", 5), (*base, "--objects", 6),
            {"exposures": ("--exposures", 0), "part": ("--part", "0/2"), "probes": ("--probes", -1),
             "disk": ("--exposures", 10**12), "option": ("--nonesuch",),
             "file": ("--spec", there / "nowhere.toml")}, "manifest.json",
        )  # fmt: skip
    if name == "import":
        for number, text in enumerate(("s,r,o", "s,r,p", "s,r")):
            (there / f"{number}.csv").write_text(f"subject,relation,object\n{text}\n")
        return Case(
            ("import", there / "0.csv"), ("import", there / "1.csv"),
            {"seed": ("--seed", "x")}, "spec.toml",
        )  # fmt: skip
    if name == "export":
        made = corpus(run, there / "c")
        part = there / "part"
        run("gen", "--facts", 300000, "--probes", 0, "--part", "0/5", "--out", part)
        return Case(
            ("export", made, "--to", "llmc"), ("export", made, "--to", "olmo"),
            {"format": ("--to", "litdat"), "block_length": ("--block-length", 64)},
            "export.json", 2,
        )  # fmt: skip
    if name == "plan":
        made = corpus(run, there / "c")
        return Case(
            ("plan", made, "--edits", 2), ("plan", made, "--edits", 3),
            {"edits": ("--edits", 10**6), "kind": ("--kind", "remapp"),
             "relation": ("--relation", 7), "table": ("--table", there / "nowhere.parquet")},
            "plan.toml",
        )  # fmt: skip
    if name == "train":
        made = corpus(run, there / "c")
        return Case(
            ("train", made, *QUICK), ("train", made, *QUICK, "--seed", 1),
            {"block_length": ("--block-length", 10**6), "device": ("--device", "meta"),
             "device_name": ("--device", "nothere"), "batch_size": ("--batch-size", 0),
             "accumulate": ("--accumulate", 3), "model": ("--model", "nanno"),
             "steps": ("--steps", 0)}, "run.json", 2,
        )  # fmt: skip
    run("plan", trained, "--edits", 2, "--out", there / "p")
    other = corpus(run, there / "c")
    run("plan", other, "--edits", 2, "--out", there / "q")
    base = ("edit", trained, "--plan", there / "p", "--method", "lora", "--set", "steps=2")
    return Case(
        base, (*base, "--seed", 1, "--single"),
        {"method": ("--method", "lorra"), "plan": ("--plan", there / "q"),
         "device": ("--device", "meta"), "stack": ("--stack", 0), "set": ("--set", "rank=0")},
        "edit.json",
    )  # fmt: skip


@pytest.fixture(scope="module")
def originals():
    """By command: its case, and the directory that it has written."""
    return {}


@pytest.fixture(params=COMMANDS)
def made(request, run, originals, tmp_path_factory, trained):
    """A command that has written a directory, in which its owner keeps notes since."""
    if request.param not in originals:
        place = tmp_path_factory.mktemp(request.param)
        found, out = case(request.param, run, place, trained), place / "out"
        ran = run(*found.old, "--out", out)
        assert ran.code == 0, ran.err
        (out / "my_notes.txt").write_text("mine")
        for folder in [path for path in out.iterdir() if path.is_dir()]:
            (folder / "my_plot.png").write_text("mine")
        shutil.copytree(out, place / "kept")
        originals[request.param] = found, out
    found, out = originals[request.param]
    # As it was written, in the same place: records name others by the way to them.
    shutil.rmtree(out)
    shutil.copytree(out.with_name("kept"), out)
    return found, out


def listing(place):
    """Every name under a place, with bytes and time of change of the files."""
    return {
        str(path.relative_to(place)): (path.read_bytes(), path.stat().st_mtime_ns)
        if path.is_file()
        else None
        for path in sorted(place.rglob("*"))
    }


def notes(place):
    return {name: what for name, what in listing(place).items() if "my_" in name}


def test_every_record_is_known_to_all():
    from behemoth.corpus.sums import CORPUS
    from behemoth.edit.record import EDIT
    from behemoth.plan.edit_plan import PLAN
    from behemoth.train.directory import RUN

    for kind in (CORPUS, RUN, PLAN, EDIT):
        assert kind.record in RECORDS


def test_what_is_refused_changes_nothing(run, made):
    found, out = made
    before = listing(out)
    assert run(*found.new, "--out", out).code == found.code
    assert listing(out) == before
    for name, words in found.refused.items():
        for force in ((), ("--force",)):
            ran = run(*found.new, *words, "--out", out, *force)
            assert ran.code in (1, 2), (name, force)
            assert listing(out) == before, (name, force)


def test_force_replaces_what_is_its_own_and_nothing_else(run, made, tmp_path):
    found, out = made
    kept = notes(out)
    ran = run(*found.new, "--out", out, "--force")
    assert ran.code == 0, ran.err
    assert run(*found.new, "--out", tmp_path / "straight").code == 0
    assert notes(out) == kept
    there = set(listing(out)) - set(kept)
    # Folders of the old one stay where something of its owner's is in them.
    straight = set(listing(tmp_path / "straight"))
    assert {name for name in there - straight if (out / name).is_file()} == set()
    assert straight <= there


def test_force_writes_the_same_again(run, made):
    found, out = made
    for path in out.rglob("*"):  # some file systems know the time to two seconds only
        if path.is_file():
            os.utime(path, (0, 0))
    before, kept = listing(out), notes(out)
    assert run(*found.old, "--out", out, "--force").code == 0
    after = listing(out)
    assert set(after) == set(before) and notes(out) == kept
    assert all(
        after[name][1] != before[name][1] for name in after if after[name] and "my_" not in name
    )


@pytest.mark.parametrize("made", ["plan", "train", "edit"], indirect=True)
@pytest.mark.parametrize("content", ["{", "{}"])
def test_force_replaces_what_has_a_damaged_record(run, made, content):
    found, out = made
    (out / found.record).write_text(content)
    before = listing(out)
    ran = run(*found.old, "--out", out)
    assert ran.code == 1 and "is damaged" in ran.err and "force replaces it" in ran.err
    assert listing(out) == before
    assert run(*found.old, "--out", out, "--force").code == 0
    assert not list(out.glob(".*"))
    assert run("inspect", out).code == 0


@pytest.mark.parametrize("made", ["import", "plan"], indirect=True)
def test_who_waits_for_another_process_says_so(run, made, spawn, who):
    found, out = made
    with lock_folder(out):
        process = spawn(*found.old, "--out", out, *(["--force"] * (found.old[0] == "import")))
        said = process.stderr.readline()
        told = rf"behemoth: warning: waiting for {who} in {re.escape(str(out))}\n"
        assert re.fullmatch(told, said)
    process.communicate(timeout=120)
    assert process.returncode == 0


# The others wait for the other process to end.
@pytest.mark.parametrize("made", ["gen", "train", "export", "edit"], indirect=True)
def test_another_process_is_not_written_over(run, made, who):
    found, out = made
    before = listing(out)
    with lock_folder(out):
        ran = run(*found.new, "--out", out, "--force")
    assert ran.code == 1
    doing = rf"another process is (writing to|training in) {re.escape(str(out))}: {who}"
    assert re.search(doing, ran.err)
    assert listing(out) == before


def test_a_directory_of_another_kind_is_refused(run, made):
    found, out = made
    (out / "study.json").write_text("{}")
    before = listing(out)
    ran = run(*found.new, "--out", out, "--force")
    assert ran.code == 2
    assert re.search("argument '--out': got .*, which is a study, allowed: ", ran.err)
    assert listing(out) == before


@pytest.mark.parametrize("name", COMMANDS)
def test_a_stopped_successor_of_another_kind_is_refused_as_it_is(run, name, tmp_path, trained):
    """What it replaces was set aside; it is not moved back over what is new."""
    found = case(name, run, tmp_path, trained)
    out, record = tmp_path / "out", "gates.json"
    for folder, text in ((out, "new"), (out / ".replaced-1", "old")):
        folder.mkdir()
        for file in (record, "page.html"):
            (folder / file).write_text(text)
    (out / ".unfinished").write_text(f"{record}\n")
    before = listing(out)
    for force in ((), ("--force",)):
        assert run(*found.new, "--out", out, *force).code == 2
        assert listing(out) == before


def test_files_of_our_names_that_are_not_ours_are_not_written_over(run, made, tmp_path):
    found, out = made
    names = [path.name for path in out.iterdir() if path.is_file() and path.name != found.record]
    (tmp_path / "mine").mkdir()
    for name in {*names, "table.parquet"} - {"spec.toml"}:
        (tmp_path / "mine" / name).write_text("mine")
    before = listing(tmp_path / "mine")
    for force in ((), ("--force",)):
        assert run(*found.new, "--out", tmp_path / "mine", *force).code in (1, 2)
        assert listing(tmp_path / "mine") == before


def started(out, process, before):
    """Wait until a run has saved a checkpoint that is none of those before."""
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        if saved(out) - before:
            return
        time.sleep(0.01)
    raise AssertionError(process.communicate())


def saved(out):
    return {path.name for path in out.glob("checkpoints/step-*")}


@pytest.mark.faults
def test_a_killed_successor_goes_on_and_what_it_replaces_stays(run, spawn, tmp_path):
    source = corpus(run, tmp_path / "c")
    out = tmp_path / "run"
    run("train", source, *QUICK, "--out", out, "--json").json()
    old = listing(out)
    words = ("train", source, *QUICK[2:], "--steps", 300, "--checkpoint-interval", 20, "--out", out)
    for signalled in (signal.SIGKILL, signal.SIGINT):
        # Its record, and the one before it, are not lost by asking for --force again.
        before = saved(out)
        process = spawn(*words, "--force")
        started(out, process, before)
        process.send_signal(signalled)
        _, error = process.communicate(timeout=60)
        aside = {name: what for name, what in listing(out / ".replaced-1").items() if what}
        assert aside == {name: what for name, what in old.items() if what}
    assert f"what this replaces is kept in {out}/.replaced-1 until this is finished" in error
    assert not (out / ".replaced-2").exists()
    assert run("inspect", out / ".replaced-1", "--json").json()["status"] == "finished"
    assert run(*words).code == 0
    assert not list(out.glob(".*"))
    assert json.loads((out / "run.json").read_text())["steps"] == 300


def test_a_corpus_without_a_shard_trains_no_run(run, tmp_path):
    source = corpus(run, tmp_path / "c")
    out = tmp_path / "run"
    run("train", source, *QUICK, "--out", out, "--json").json()
    before = listing(out)
    shard = source / "tokens" / "00000.bin"
    whole = shard.read_bytes()
    for left in (None, whole[:-2]):
        shard.unlink(missing_ok=True)
        if left is not None:
            shard.write_bytes(left)
        line = run("train", source, *QUICK, "--seed", 2, "--out", out, "--force").refused(1)
        assert "00000.bin " in line and "the manifest says" in line
        assert listing(out) == before


def test_a_corpus_that_was_stopped_goes_on(run, tmp_path, monkeypatch):
    from behemoth.corpus import write

    out = corpus(run, tmp_path / "c")
    old = listing(out)
    words = ("gen", "--subjects", 40, "--relations", 2, "--probes", 0, "--out", out)

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(write, "write_companions", stop)
        ran = run(*words, "--force")
    assert ran.code == 130
    assert f"kept in {out}/.replaced-1 until this is finished" in ran.err
    assert listing(out / ".replaced-1") == old
    assert run(*words, "--force").code == 0
    assert run("verify", out).code == 0
    assert not list(out.glob(".*"))


@pytest.mark.parametrize("name", ["facts", "evaluate"])
def test_a_file_is_there_as_it_was_until_the_new_one_is_whole(run, name, tmp_path, trained):
    out = tmp_path / "f.parquet"
    out.write_text("old")
    if name == "facts":
        wrong = ("facts", corpus(run, tmp_path / "c"), "--range", "7:3")
        right = wrong[:2]
    else:
        run("plan", trained, "--edits", 2, "--out", tmp_path / "p")
        wrong = ("evaluate", trained, "--plan", tmp_path / "nowhere")
        right = ("evaluate", trained, "--plan", tmp_path / "p")
    assert run(*wrong, "--out", out).code == 2
    assert out.read_text() == "old"
    (tmp_path / "precious").write_text("precious")
    out.unlink()
    out.symlink_to(tmp_path / "precious")
    assert run(*right, "--out", out).code == 0
    assert (tmp_path / "precious").read_text() == "precious"
    assert not list(tmp_path.glob(".*"))


@pytest.mark.faults
@pytest.mark.parametrize("name", COMMANDS)
def test_two_at_once_make_one_directory(run, spawn, name, tmp_path, trained, contents):
    found = case(name, run, tmp_path, trained)
    both = [spawn(*found.old, "--out", tmp_path / "both") for _ in range(2)]
    ended = [(process.communicate(timeout=240), process.returncode) for process in both]
    refusals = {
        "train": "another process is training", "import": "holds a spec already",
        "export": "another process is writing", "edit": "another process is writing",
    }  # fmt: skip
    if name in refusals:
        assert sorted(code for _, code in ended) in ([0, 0], [0, 1]), ended
        assert all(refusals[name] in text[1] for text, code in ended if code), ended
    else:
        assert [code for _, code in ended] == [0, 0], ended
    assert not list((tmp_path / "both").rglob(".*"))
    if name not in ("train", "edit"):
        assert run(*found.old, "--out", tmp_path / "one").code == 0
        assert contents(tmp_path / "both") == contents(tmp_path / "one")


def test_planted_links_are_not_followed(run, tmp_path, trained):
    precious = tmp_path / "precious"
    precious.write_text("precious")
    for name in ("gen", "import", "export", "plan", "edit"):
        (tmp_path / name).mkdir()
        found = case(name, run, tmp_path / name, trained)
        straight, out = tmp_path / name / "one", tmp_path / name / "two"
        assert run(*found.old, "--out", straight).code == 0
        for folder in {path.parent for path in straight.rglob("*") if path.is_file()}:
            for file in [path.name for path in folder.iterdir() if path.is_file()]:
                place = out / folder.relative_to(straight)
                place.mkdir(parents=True, exist_ok=True)
                number = f".{file}.{os.getpid()}.tmp"
                for planted in (f".{file}.tmp", f"{file}.partial", f"{file}.lock", number):
                    (place / planted).symlink_to(precious)
        # With other things in it a directory would be refused, but for one that was begun.
        (out / ".unfinished").write_text(f"{found.record}\n")
        if name == "gen":
            (out / "spec.toml").write_bytes((straight / "spec.toml").read_bytes())
        ran = run(*found.old, "--out", out)
        assert ran.code == 0, ran.err
        assert precious.read_text() == "precious", name
    assert Path(precious).is_file()


def test_a_folder_that_only_looks_like_a_corpus_is_left_alone(run, tmp_path):
    own = tmp_path / "own"
    (own / "tokens").mkdir(parents=True)
    (own / "tokens" / "00000.bin").write_text("mine")
    (own / "spec.toml").write_text("[world]\nsubjects = 30  # mine\n")
    before = listing(own)
    ran = run("gen", "--spec", own / "spec.toml", "--seed", 3, "--out", own, "--force")
    assert ran.code == 1 and "not empty" in ran.err
    assert listing(own) == before


@pytest.mark.parametrize("others", [(), ("notes.txt",), ("notes.txt", "probes/own.parquet")])
def test_a_folder_with_a_spec_of_the_users_own_is_left_alone(run, tmp_path, others):
    own = tmp_path / "own"
    own.mkdir()
    spec = own / "spec.toml"
    spec.write_text("# Mine.\n[world]\nsubjects = 30\nrelations = 2\n[corpus]\n")
    for name in others:
        (own / name).parent.mkdir(exist_ok=True)
        (own / name).write_text("mine")
    before = listing(own)
    for words in ((), ("--force",), ("--order", "bios", "--force")):
        ran = run("gen", "--spec", spec, *words, "--out", own)
        assert ran.code == 1 and "is not empty and not this corpus" in ran.err, words
        assert listing(own) == before, words
    # Elsewhere the spec is as good as any.
    assert run("gen", "--spec", spec, "--out", tmp_path / "c").code == 0
    # Also one that is byte for byte as the engine writes it.
    if others:
        spec.write_bytes((tmp_path / "c" / "spec.toml").read_bytes())
        before = listing(own)
        assert "not empty" in run("gen", "--spec", spec, "--out", own).refused(1)
        assert listing(own) == before


def test_a_setting_that_this_model_refuses_leaves_the_finished_edit(run, tmp_path, trained):
    run("plan", trained, "--edits", 2, "--out", tmp_path / "plan")
    words = ("edit", trained, "--plan", tmp_path / "plan", "--method", "lora", "--out")
    assert run(*words, tmp_path / "edit", "--set", "steps=2").code == 0
    before = listing(tmp_path / "edit")
    assert run(*words, tmp_path / "edit", "--set", "layers=99", "--force").code == 2
    assert listing(tmp_path / "edit") == before
    assert run(*words, tmp_path / "new", "--set", "layers=99").code == 2
    assert not (tmp_path / "new").exists()


def test_force_mends_a_damaged_plan(run, tmp_path, trained):
    words = ("plan", trained, "--edits", 2, "--out", tmp_path / "plan")
    assert run(*words).code == 0
    (tmp_path / "plan" / "probes.parquet").write_bytes(b"half")
    assert "damaged" in run(*words).err
    assert run(*words, "--force").code == 0
    assert len(EditPlan.load(tmp_path / "plan")) == 2


def test_blocks_longer_than_a_corpus_are_refused(run, tmp_path):
    made = corpus(run, tmp_path / "c")
    words = ("export", made, "--to", "litdata", "--out", tmp_path / "out")
    ran = run(*words, "--block-length", 10**7)
    assert ran.code == 2 and "got 10000000, allowed: 1 to" in ran.err
    assert not (tmp_path / "out").exists()


def test_a_frame_is_written_over_no_other_file(run, tmp_path):
    spec = tmp_path / "spec.toml"
    spec.write_text("[world]\nsubjects = 30\n")
    ran = run("facts", spec, "--out", spec)
    assert "holds something else, allowed: a new file, or a Parquet file" in ran.refused()
    assert spec.read_text().startswith("[world]")
    for _ in range(2):  # a frame may be written again
        assert run("facts", spec, "--out", tmp_path / "facts.parquet").code == 0
