import json

import pytest


@pytest.fixture
def written(run, tmp_path):
    spec = tmp_path / "spec.toml"
    spec.write_text("[world]\nsubjects = 20000\nrelations = 3\n[corpus]\nshard_bytes = 262144\n")
    run("gen", "--spec", spec, "--out", tmp_path / "c", "--probes", 100)
    return tmp_path / "c"


def test_all_is_well(run, written):
    ran = run("verify", written)
    assert ran.code == 0
    assert "6 shards, 720,000 tokens, all intact" in ran.out
    report = run("verify", written, "--json", "--threads", 1).json()
    assert report == {
        "directory": str(written),
        "ok": True,
        "shards": 6,
        "tokens": 720_000,
        "bad": [],
        "missing": [],
        "unhashed": [],
    }


def test_the_bad_shard_is_named_and_the_exit_code_is_1(run, written):
    path = written / "tokens" / "00004.bin"
    path.write_bytes(path.read_bytes()[:-100] + bytes(100))
    (written / "tokenizer" / "tokenizer.json").unlink()
    ran = run("verify", written)
    assert ran.code == 1
    assert ran.out == ""
    errors = [line for line in ran.err.splitlines() if "error" in line]
    assert [line.split(": ")[2] for line in errors] == [
        "tokens/00004.bin",
        "tokenizer/tokenizer.json",
    ]
    ran = run("verify", written, "--json")
    assert ran.code == 1
    assert ran.out.count("\n") == 1
    report = json.loads(ran.out)
    assert not report["ok"]
    assert report["bad"][0]["file"] == "tokens/00004.bin"
    assert report["missing"] == ["tokenizer/tokenizer.json"]


def test_gen_mends_what_is_missing_or_short(run, written, contents):
    hashes = contents(written)
    (written / "tokens" / "00001.bin").unlink()
    path = written / "tokens" / "00002.bin"
    path.write_bytes(path.read_bytes()[:1000])
    assert run("verify", written).code == 1
    spec = written.parent / "spec.toml"
    assert run("gen", "--spec", spec, "--out", written, "--probes", 100).code == 0
    assert run("verify", written).code == 0
    assert contents(written) == hashes


def test_errors(run, written, tmp_path):
    assert "argument 'DIR': got" in run("verify", tmp_path).refused(2)
    assert "argument '--threads': got x" in run("verify", written, "--threads", "x").refused(2)
    assert "argument 'DIR': got nothing, allowed: a corpus, a run" in run("verify").refused(2)
