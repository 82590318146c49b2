"""`--force`, killed at any moment: its predecessor is not lost, and no half reads as a whole."""

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import behemoth as bh

POINTS = 8  # of some sixty at which a command is killed, drawn anew for each seed
QUICK = (
    "--steps", "4", "--block-length", "32", "--batch-size", "4", "--threads", "1",
    "--model", "pico", "--no-tensorboard", "--checkpoint-interval", "2", "--eval-interval", "9",
)  # fmt: skip

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(not hasattr(sys, "addaudithook") or sys.platform == "win32", reason="forks"),
]


@pytest.fixture(scope="module")
def carry_out():
    """Run a command, perhaps killed before its n-th change: carry_out(words, n) -> (n, code)."""
    process = subprocess.Popen(
        [sys.executable, Path(__file__).parents[1] / "killing.py"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip

    def carry_out(words, kill=None):
        words = list(map(str, words))
        process.stdin.write(json.dumps({"words": words, "kill": kill}) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    yield carry_out
    process.communicate(timeout=60)


@pytest.fixture(params=["train", "edit"])
def commands(request, run, tmp_path, trained):
    """Words that write a directory, and others that write another one in its place."""
    if request.param == "train":
        words = ("--subjects", 30, "--relations", 2, "--objects", 5, "--probes", 0)
        assert run("gen", *words, "--out", tmp_path / "c").code == 0
        base = ("train", tmp_path / "c", *QUICK)
        return base, (*base, "--seed", 1)
    words = ("plan", trained, "--edits", 2, "--independent", "--repeats", 2, "--probes", 1)
    assert run(*words, "--out", tmp_path / "p").code == 0
    base = ("edit", trained, "--plan", tmp_path / "p", "--method", "lora", "--set", "steps=2")
    return (*base, "--single"), (*base, "--single", "--seed", 1)


def whole(place):
    """The seed and the weights of a directory that reads as a whole; none of one that does not."""
    try:
        found = bh.load(place)
    except bh.ArgumentError:
        return None
    if isinstance(found, bh.Corpus):  # of a run whose record is not there there is but the spec
        return None
    if isinstance(found, bh.Run):
        assert found.record.status == "finished" and found.record.result is not None
        found.load_model("cpu")
    else:
        assert len(found.deltas()) == 2
    files = {str(path.relative_to(place)): path for path in place.rglob("*.safetensors")}
    return found.seed, {name: files[name].read_bytes() for name in files if name[0] != "."}


@pytest.mark.parametrize("seed", [0, 1])
def test_it_loses_nothing_wherever_it_is_killed(commands, carry_out, seed, tmp_path):
    old, new = commands
    out, kept, straight = (tmp_path / name for name in ("out", "kept", "straight"))
    assert carry_out([*old, "--out", out])[1] == 0
    (out / "my_notes.txt").write_text("mine")
    shutil.copytree(out, kept)
    before = whole(kept)
    assert carry_out([*new, "--out", straight])[1] == 0
    after = whole(straight)
    count, code = carry_out([*new, "--out", out, "--force"])
    assert code == 0 and count > 20 and whole(out) == after != before
    for point in sorted(random.Random(seed).sample(range(count), POINTS)):
        shutil.rmtree(out)
        shutil.copytree(kept, out)
        assert carry_out([*new, "--out", out, "--force"], point) == [point, -9]
        assert whole(out) in (None, before, after), point
        # Without --force: the one before is given back, or is kept while the new one goes on.
        carry_out([*old, "--out", out])
        aside = [whole(place) for place in out.glob(".replaced-*")]
        if whole(out) != after:
            assert before in (whole(out), *aside), point
        assert carry_out([*new, "--out", out, "--force"])[1] == 0
        assert whole(out) == after, point
        assert [path.name for path in out.glob(".*")] == [], point
        assert (out / "my_notes.txt").read_text() == "mine"
