"""`kill -9` before any change to the disk: what goes on has the bytes of what was never stopped."""

import json
import random
import re
import runpy
import signal
import subprocess
import sys
from itertools import product
from pathlib import Path

import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal
from safetensors.torch import load

import behemoth as bh
from behemoth.support.locks import holder, lock_folder

QUICK = ("--model", "pico", "--steps", "4", "--block-length", "32", "--batch-size", "4",
         "--threads", "1", "--no-tensorboard", "--checkpoint-interval", "2")  # fmt: skip
COMMANDS = {
    "gen": ("gen", "--subjects", 300, "--relations", 2, "--objects", 5, "--threads", 1),
    "train": ("train", "corpus", *QUICK),
    "plan": ("plan", "run", "--edits", 2, "--independent", "--repeats", 1, "--probes", 1),
    "edit": ("edit", "run", "--plan", "plan", "--method", "ultraedit", "--sequential",
             "--checkpoint-at", "1"),
    "single": ("edit", "run", "--plan", "plan", "--method", "rome", "--single"),
    "batch": ("edit", "run", "--plan", "plan", "--method", "ft", "--set", "steps=2"),
    "import": ("import", "facts.csv"),
    "export": ("export", "corpus", "--to", "jsonl"),
    "tune": ("tune", "rome", "--on", "run", "--trials", 3, "--edits", 2),
    "study": ("study", "run", "study.toml"),
}  # fmt: skip

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks")


@pytest.fixture(scope="module")
def carry_out(directories):
    """Run a command, perhaps killed before its n-th change: carry_out(words, n) -> (n, code)."""
    facts = bh.Corpus.open(directories / "corpus").world.facts(0, 60)
    facts.select("subject", "relation", "object").write_csv(directories / "facts.csv")
    process = subprocess.Popen(
        [sys.executable, Path(__file__).parents[1] / "killing.py"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=directories,
    )  # fmt: skip

    def carry_out(words, kill=None, **others):
        asked = {"words": list(map(str, words)), "kill": kill, **others}
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    yield carry_out
    process.communicate(timeout=60)


def meaning(place):
    """What a directory is about: bytes, and frames of Parquet but for how long something took."""
    return {
        str(path.relative_to(place)): _read(path)
        for path in sorted(place.rglob("*"))
        if path.suffix in (".safetensors", ".bin", ".idx", ".parquet", ".jsonl")
        or path.name == "tokenizer.json"
        if not path.name.startswith("metrics")
    }


def _read(path):
    if path.suffix != ".parquet":
        return path.read_bytes()
    frame = pl.read_parquet(path)
    return frame.select(name for name in frame.columns if "seconds" not in name)


def assert_same(found, wanted, **tolerance):
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        if isinstance(value, pl.DataFrame):
            assert_frame_equal(found[name], value, check_exact=not tolerance, **tolerance)
        elif tolerance and "deltas/" in name:
            ours, theirs = load(found[name]), load(value)
            assert ours.keys() == theirs.keys()
            for part, tensor in theirs.items():
                torch.testing.assert_close(
                    ours[part], tensor, rtol=tolerance["rel_tol"], atol=tolerance["abs_tol"]
                )
        else:  # the models of a study as well, each of which is trained alone
            assert found[name] == value, name


# A BLAS' sums depend on where in memory its arguments lie, which is another where half of a
# study's units are done already, and on how many edits are in a stack.
_ROUNDED = {verb: {"rel_tol": 1e-3, "abs_tol": 1e-4} for verb in ("study", "single")}

# A spec that is whole is not imported again: that is refused.
_ENDS = {"import": (0, 1)}

# The others by `make faults`, which kills each command so often; by default it is once.
_DEFAULT = ("gen", "train")
_OFTEN = {"gen": 100, "train": 30, "study": 30}


@pytest.mark.parametrize(
    "verb",
    [pytest.param(verb, marks=() if verb in _DEFAULT else pytest.mark.faults) for verb in COMMANDS],
)
@pytest.mark.timeout(7200)
def test_what_was_killed_goes_on_to_the_same_bytes(carry_out, tmp_path, rounds, verb):
    words = COMMANDS[verb]
    count, code = carry_out([*words, "--out", tmp_path / "straight"])
    assert code == 0 and count > 3
    straight = meaning(tmp_path / "straight")
    assert straight
    draw = random.Random(verb)
    for number in range(1 + (_OFTEN.get(verb, 10) - 1) * (rounds(1) - 1) // 19):
        out, point = tmp_path / f"out{number}", draw.randrange(count)
        assert carry_out([*words, "--out", out], point)[1] == -9
        # Killed once more on the way, where there is still so much to do.
        carry_out([*words, "--out", out], draw.randrange(count))
        assert carry_out([*words, "--out", out])[1] in _ENDS.get(verb, (0,)), point
        assert_same(meaning(out), straight, **_ROUNDED.get(verb, {}))
        if verb != "import":  # which makes no directory that is verified
            assert bh.verify(out).ok
        assert not list(out.rglob("*.tmp")), point


# And those that write one file or nothing, which begin anew.
_AT_ONCE = {
    "evaluate": ("evaluate", "edit", "--plan", "plan"),
    "facts": ("facts", "corpus"),
}
_GOES_ON = "to resume"
SECONDS = 3.0  # of the processor after a signal, as docs/reliability.md has it


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "verb",
    [
        pytest.param(verb, marks=() if verb == "train" else pytest.mark.faults)
        for verb in (*COMMANDS, *_AT_ONCE)
    ],
)
def test_a_signal_stops_a_command_which_says_how_to_go_on(carry_out, tmp_path, rounds, verb):
    words = COMMANDS.get(verb) or _AT_ONCE[verb]
    ending = ".parquet" if verb in _AT_ONCE else ""
    count, code = carry_out([*words, "--out", tmp_path / f"straight{ending}"])
    assert code == 0

    def same(out):
        if ending:
            assert_frame_equal(_read(out), _read(tmp_path / "straight.parquet"))
        else:
            assert_same(meaning(out), meaning(tmp_path / "straight"), **_ROUNDED.get(verb, {}))

    draw = random.Random(verb)
    for number, how in product(range(rounds(1)), (signal.SIGINT, signal.SIGTERM)):
        out = tmp_path / f"out{number}-{how.name}{ending}"
        # At first where there is work left to stop, then anywhere.
        point = draw.randrange(count if number else count // 2)
        _, code, said, seconds = carry_out([*words, "--out", out], point, signal=int(how))
        assert seconds is not None, point
        if code == 0 and number and verb != "study":  # each change of a study has work after it
            same(out)  # it came when all was done
        else:
            assert code == 128 + how, (said, point)
            assert said.startswith("behemoth: stopped: ") and "run the same command again" in said
            assert said.endswith(f" {out}") or _GOES_ON not in said
            assert seconds < SECONDS, point
            assert not list(tmp_path.rglob("*.tmp")), point
        assert carry_out([*words, "--out", out])[1] in _ENDS.get(verb, (0,)), point
        same(out)


# And those that write several files and begin anew, or move them, each in a folder of its own.
_SEVERAL = {
    "trace": ("trace", "run", "--plan", "known", "--samples", "2", "--out", "{out}"),
    "suite": ("evaluate", "edit", "--plan", "plan", "--suite", "editing", "--out", "{out}"),
    "train a tokenizer": ("tokenizer", "train", "--grammar", "bios-en", "--vocabulary", "300",
                          "--documents", "50", "--out", "{out}"),
    "encode": ("tokenizer", "encode", "pages.jsonl", "--tokenizer", "bpe", "--out", "{out}"),
    "push": ("push", "corpus", "file://{out}"),
    "pull": ("pull", "file://{here}/sent", "{out}"),
    "zoo": ("zoo", "make", "--size", "smoke", "--workers", "1", "--out", "{out}"),
}  # fmt: skip


@pytest.fixture(scope="module")
def supplied(directories):
    """What those begin with, beside the directories."""
    known_plan = runpy.run_path(str(Path(__file__).parents[1] / "known_plan.py"))["known_plan"]
    known_plan(directories / "run", directories / "plan", directories / "known")
    bh.train_tokenizer("bios-en", directories / "bpe", vocabulary=300, documents=20)
    (directories / "pages.jsonl").write_text('{"text": "One page."}\n{"text": "Two."}\n')
    bh.push(directories / "corpus", f"file://{directories}/sent")
    return directories


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "verb",
    [
        pytest.param(verb, marks=pytest.mark.faults if verb in ("suite", "zoo") else ())
        for verb in _SEVERAL
    ],
)
def test_what_is_stopped_or_killed_is_not_refused(carry_out, supplied, tmp_path, rounds, verb):
    """As it says itself; what had been written before the signal was in the way."""

    def start(name, *others, **options):
        (tmp_path / name).mkdir(exist_ok=True)
        words = (
            word.format(out=tmp_path / name / "made", here=supplied) for word in _SEVERAL[verb]
        )
        return carry_out(words, *others, **options)

    count, code = start("straight")
    assert code == 0 and count > 3
    straight = meaning(tmp_path / "straight")
    assert straight
    draw = random.Random(verb)
    for number, how in product(range(rounds(1)), (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)):
        # At first where something is written already.
        point = draw.randrange(0 if number else count // 2, count)
        _, code, said, seconds = start(name := f"{number}{how.name}", point, signal=int(how))
        assert seconds is not None and seconds < SECONDS, point
        again = start(name, signal=0)
        if how == signal.SIGKILL:
            assert code == -9
            # It was whole, but for a sync, and nothing has said that it was not.
            assert again[1] == 0 or "which is a tokenizer" in again[2], (point, again)
        else:
            assert code == 128 + how, (said, point)
            assert said.startswith("behemoth: stopped: "), (said, point)
            # A transfer in a thread of its own may leave one, which the next removes.
            assert verb == "push" or not list((tmp_path / name).rglob("*.tmp")), point
            assert again[1] == 0, (point, said, again)
        assert_same(meaning(tmp_path / name), straight)


def test_a_sequence_that_was_whole_and_not_yet_settled_is_settled(
    directories, run, tmp_path, monkeypatch
):
    """Killed between the last sum and the removal of what it went on from."""
    from behemoth.edit import sequential

    monkeypatch.chdir(directories)
    words = (*COMMANDS["edit"], "--out", tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr(sequential, "settle", lambda record: None)
        assert run(*words).code == 0
    assert list((tmp_path / "out").rglob("memory.safetensors"))
    assert run(*words).code == 0
    assert not list((tmp_path / "out").rglob("memory.safetensors"))


HOLDING = """
import sys, time
from pathlib import Path
from behemoth.support.locks import lock_folder
with lock_folder(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_writer_is_told_who_the_first_is_and_a_dead_one_holds_nothing(
    supplied, run, tmp_path, monkeypatch, who
):
    monkeypatch.chdir(supplied)
    out = tmp_path / "out"
    commands = [(*COMMANDS[verb], "--out", out) for verb in ("train", "edit", "export")]
    others = map(_SEVERAL.get, ("trace", "suite", "train a tokenizer"))
    commands += [tuple(word.format(out=out) for word in words) for words in others]
    command = [sys.executable, "-c", HOLDING, out]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout.readline() == "held\n"
        for words in commands:
            message = run(*words).refused(1)
            said = re.search(f": {who}", message)
            assert said and str(out) in message
            assert who == "another process" or f" {first.pid} " in said[0]
        first.kill()
        first.wait()
    out.mkdir(exist_ok=True)
    with lock_folder(out, wait=False) as ours:
        assert ours
        assert "process" in holder(out)
    assert run(*COMMANDS["export"], "--out", out).code == 0


def test_what_a_finished_run_was_to_go_on_from_goes(directories, run, tmp_path, monkeypatch):
    """Killed between the record that says finished and the removal of its last checkpoint."""
    from behemoth.train.checkpoint import Checkpoints

    monkeypatch.chdir(directories)
    words = (*COMMANDS["train"], "--out", tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "prune", lambda self, keep, history: None)
        assert run(*words).code == 0
    assert list((tmp_path / "out" / "checkpoints").glob("step-*"))
    assert run(*words).code == 0
    assert not list((tmp_path / "out" / "checkpoints").glob("step-*"))
