import json
import re
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import numpy as np
import pytest

from behemoth import Corpus, World

KEYS = {
    "out",
    "facts",
    "sentences",
    "tokens",
    "bytes",
    "seconds",
    "tokens_per_second",
    "vocabulary",
    "dtype",
}


def test_json_is_one_object_with_the_keys_of_the_contract(run, tmp_path):
    report = run("gen", "--facts", "1_200", "--out", tmp_path / "c", "--json").json()
    assert set(report) == KEYS
    assert report["out"] == str(tmp_path / "c")
    assert report["facts"] == report["sentences"] == 1200
    assert report["bytes"] == 2 * report["tokens"] == 2 * 1200 * 11
    assert report["dtype"] == "uint16"
    assert report["tokens_per_second"] > 0
    assert report["vocabulary"] == Corpus.open(tmp_path / "c").vocabulary_size


def test_people_see_what_was_made_and_two_sentences(run, tmp_path):
    ran = run("gen", "--facts", "1200", "--out", tmp_path / "c")
    assert ran.code == 0
    assert "finished" not in ran.err  # which the counts on stdout say
    assert str(tmp_path / "c") in re.sub(r"\s", "", ran.out)  # over several lines if it is long
    for words in ("1,200", "13,200", "uint16", "tokens/s"):
        assert words in ran.out
    assert (
        len(re.findall(r"subject S\d+ has the relation R\d with object O\d:\d+ \.", ran.out)) == 2
    )


def test_a_directory_of_version_1_is_gone_on_with_as_such(run, tmp_path):
    words = "--subjects 20 --relations 2 --objects 9 --exposures 3 --questions 0.5:0.2 --probes 0"
    spec, out = tmp_path / "old.toml", tmp_path / "c"
    spec.write_text(
        "format_version = 1\n[world]\nsubjects = 20\nrelations = 2\nobjects = 9\n"
        "[corpus]\nexposures = 3\nquestions = { subjects = 0.5, sentences = 0.2 }\n"
    )
    run("gen", "--spec", spec, "--probes", 0, "--out", out, "--json").json()
    first = Corpus.open(out)
    assert first.spec["format_version"] == 1
    tokens = (out / "tokens" / "00000.bin").read_bytes()
    (out / "tokens" / "00000.json").unlink()
    run("gen", *words.split(), "--out", out, "--json").json()
    assert Corpus.open(out).spec_hash == first.spec_hash
    assert (out / "tokens" / "00000.bin").read_bytes() == tokens
    assert run("verify", out).code == 0
    # By itself, by force and where a spec says so it is of the latest version.
    run("gen", *words.split(), "--out", tmp_path / "new", "--json").json()
    latest = Corpus.open(tmp_path / "new")
    assert latest.spec["format_version"] == 3
    spec.write_text(latest.spec_toml)
    said = run("gen", "--spec", spec, "--probes", 0, "--out", out).refused(1)
    assert "contains a corpus of format version 1, not 3" in said
    run("gen", *words.split(), "--out", out, "--force", "--json").json()
    assert Corpus.open(out).spec_hash == latest.spec_hash


@pytest.mark.parametrize(
    ("facts", "subjects", "relations"),
    [
        ("1e3", 200, 5),
        ("1200", 200, 6),
        ("7", 7, 1),
        ("14", 7, 2),
        ("1e5", 20_000, 5),
        ("60", 10, 6),
    ],
)
def test_facts_are_split_exactly(run, tmp_path, facts, subjects, relations):
    run("gen", "--facts", facts, "--out", tmp_path / "c", "--probes", 0, "--json").json()
    world = Corpus.open(tmp_path / "c").world
    assert (world.num_subjects, world.num_relations) == (subjects, relations)


def test_bios(run, tmp_path):
    report = run(
        "gen", "--facts", 60, "--exposures", 3, "--order", "bios", "--out", tmp_path / "c", "--json"
    ).json()
    assert report["sentences"] == 180
    assert Corpus.open(tmp_path / "c").num_documents == 30


def test_an_imported_world_is_generated(run, tmp_path, graph):
    run("import", graph, "--out", tmp_path / "spec")
    report = run(
        "gen", "--spec", tmp_path / "spec", "--exposures", 3, "--out", tmp_path / "c", "--json"
    ).json()
    assert report["sentences"] == 120
    assert Corpus.open(tmp_path / "c").world.facts().equals(World.from_table(graph).facts())
    assert run("verify", tmp_path / "c").code == 0


def test_running_again_says_that_it_is_finished(run, tmp_path, contents):
    words = ("gen", "--facts", 1200, "--out", tmp_path / "c")
    run(*words)
    hashes = contents(tmp_path / "c")
    ran = run(*words)
    assert ran.code == 0
    assert "is already finished" in ran.err
    report = run(*words, "--json").json()
    assert report["tokens"] == 13_200
    assert report["tokens_per_second"] == 0
    assert contents(tmp_path / "c") == hashes


@pytest.mark.parametrize(
    "lost", ["sums.json", "tokenizer/tokenizer.json", "probes/default.parquet"]
)
def test_what_is_written_beside_finished_shards_is_said(run, tmp_path, lost):
    out = tmp_path / "c"
    words = ("gen", "--facts", 1200, "--out", out)
    run(*words)
    for path in [out / lost, *((out / "tokenizer").iterdir() if lost == "sums.json" else ())]:
        path.unlink()
    again = ("gen", "--finish", out) if lost == "sums.json" else words
    said = "is finished: all shards were there, other files were missing or have changed"
    assert said in " ".join(run(*again).err.split())
    assert "is already finished" in run(*again).err


def test_parts_make_the_same_bytes(run, tmp_path, contents):
    spec = tmp_path / "spec.toml"
    spec.write_text("[world]\nsubjects = 20000\nrelations = 3\n[corpus]\nshard_bytes = 262144\n")
    run("gen", "--spec", spec, "--out", tmp_path / "whole")
    for part in ("2/3", "0/3", "1/3"):
        ran = run("gen", "--spec", spec, "--out", tmp_path / "parts", "--part", part)
        assert f"part {part} of" in ran.err
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")


def test_a_part_without_shards_says_so(run, tmp_path):
    ran = run("gen", "--facts", 60, "--out", tmp_path / "c", "--part", "0/5")
    assert ran.code == 0
    assert "has no shards: the corpus has 1 in all" in ran.err


def test_force_replaces_another_corpus(run, tmp_path):
    run("gen", "--facts", 60, "--out", tmp_path / "c")
    message = run("gen", "--facts", 120, "--out", tmp_path / "c").refused(1)
    assert "contains another corpus" in message
    assert (
        run("gen", "--facts", 120, "--out", tmp_path / "c", "--force", "--json").json()["facts"]
        == 120
    )


def test_a_dry_run_refuses_the_memory_that_a_run_refuses(run, tmp_path):
    words = ("gen", "--facts", 100, "--memory", "1MB", "--out", tmp_path / "c")
    assert "argument '--memory': got 1.00 MB, allowed: " in run(*words, "--dry-run").refused(2)
    assert run(*words, "--dry-run").err == run(*words).err
    enough = ("--memory", "1GB", "--dry-run")
    assert run("gen", "--facts", 100, *enough).code == 0
    assert "whose workers" in run("gen", "--facts", 100, *enough, "--engine", "ray").refused(2)


def test_a_dry_run_shows_sizes_and_writes_nothing(run, tmp_path):
    ran = run("gen", "--facts", "1e8", "--out", tmp_path / "c", "--dry-run")
    assert ran.code == 0
    for words in ("100,000,000", "bits", "vocabulary", "disk needed", "disk free"):
        assert words in ran.out
    assert not (tmp_path / "c").exists()
    report = run("gen", "--facts", "1e8", "--dry-run", "--json").json()
    assert report["facts"] == 100_000_000
    assert report["bytes"] == 2 * report["tokens"]
    assert report["disk_needed"] > report["bytes"]


def test_all_probes_can_be_asked_for(run, tmp_path):
    import polars as pl

    for probes, rows in (("all", 1200), ("1e2", 100)):
        run("gen", "--facts", 1200, "--out", tmp_path / "c", "--probes", probes)
        assert pl.read_parquet(tmp_path / "c" / "probes" / "default.parquet").height == rows


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--facts 1.5",
         "'--facts': got 1.5, allowed: a whole number from 1, such as 1000, 1_000 or 1e8"),
        ("--facts 0", "'--facts': got 0, allowed: a whole number from 1"),
        ("--facts -6", "'--facts': got -6, allowed: a whole number from 1"),
        ("--facts many", "'--facts': got many, allowed: a whole number"),
        ("--facts 100 --relations 6",
         "'--facts': got 100, allowed: a multiple of the 6 relations; nearest: 96 or 102"),
        ("--facts 5 --relations 6", "nearest: 6"),
        ("--facts 100 --subjects 10", "'--facts': got 100, allowed: either --facts or --subjects"),
        ("--subjects 0", "'--subjects': got 0, allowed: a whole number from 1"),
        ("--facts 6e18", "allowed: "),
        ("--facts 1e19", "'--facts': got 1e19, allowed: a whole number up to 9223372036854775807"),
        ("--facts 1e12 --exposures 1e12", "allowed: a product up to"),
        ("--objects 400,300",
         "'--objects': got 2 numbers, allowed: one number, or one for each of the 6"),
        ("--exposures often", "'--exposures': got 'often', allowed: a whole number, 'groups"),
        ("--exposures 0", "'--exposures': got 0, allowed: at least 1"),
        ("--order bio", "'--order': got bio (did you mean bios?), allowed: shuffle, bios"),
        ("--templates defualt=1", "got defualt (did you mean default?), allowed: default, sor,"),
        ("--templates defualt=1", "(did you mean default?)"),
        ("--templates default=0", "'--templates': got no weight above 0"),
        ("--inversion 1.5", "'--inversion': got 1.5, allowed: a fraction from 0 to 1"),
        ("--inversion some", "'--inversion': got some, allowed: a number such as 0.5"),
        ("--minority 2", "'--minority': got 2, allowed: a fraction from 0 to 1"),
        ("--minority 0.1:2", "'--minority': got 2, allowed: a fraction from 0 to 1"),
        ("--nested 7", "got 7, allowed: a divisor of 400"),
        ("--nested x:4", "'--nested': got x"),
        ("--correlated 0.002", "allowed: above chance (1/400"),
        ("--correlated 0.8,binary", "got binary (did you mean binarised?), allowed: binarised"),
        ("--questions 0.5", "'--questions': got 0.5, allowed: two shares, such as 0.5:0.2"),
        ("--questions 0.5:3", "'questions.sentences': got 3, allowed: a fraction"),
        ("--paraphrases 2:2", "'--paraphrases': got 2, allowed: fewer than paraphrases (2)"),
        ("--paraphrases 0", "'--paraphrases': got 0, allowed: a whole number from 1"),
        ("--seed -1", "'--seed': got -1, allowed: a whole number from 0"),
        ("--part 2/2", "'--part': got 2/2, allowed: i/n with 0 <= i < n, such as 0/4"),
        ("--part 0/2 --force", "'--force': got true for part 0/2"),
        ("--engine rya", "'--engine': got rya (did you mean ray?), allowed: local, ray"),
        ("--probes some", "'--probes': got some, allowed: a whole number from 0, such as 1000"),
        ("--threads x", "'--threads': got x, allowed: a whole number from 0"),
        ("--spec nothing.toml", "'--spec': got nothing.toml, which does not exist, allowed: a"),
        ("--fatcs 6", "argument '--fatcs': no such option (did you mean --facts?)"),
        ("--facts", "argument '--facts': got nothing, allowed: a value"),
    ],
)  # fmt: skip
def test_bad_arguments_are_one_line_and_exit_code_2(run, tmp_path, words, message):
    assert message in run("gen", "--out", tmp_path / "c", *words.split()).refused(2)
    assert not (tmp_path / "c").exists()


def test_an_out_directory_is_needed(run):
    assert run("gen").refused() == "argument '--out': got nothing, allowed: a directory to write"


def test_a_directory_of_something_else_is_a_failed_run(run, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    assert "not empty and not" in run("gen", "--facts", 60, "--out", tmp_path).refused(1)
    message = run("gen", "--facts", 60, "--out", tmp_path / "thesis.txt").refused(2)
    assert message.endswith("thesis.txt, a file, allowed: a new or empty directory")


def test_too_little_disk_is_told_in_one_line(run, tmp_path):
    message = run("gen", "--facts", "6e12", "--out", tmp_path / "c").refused(1)
    assert re.fullmatch(
        r"not enough disk for .*: \S+ TB needed and 16 MiB .*, .* free; up to .* would fit", message
    )


def test_ray_that_is_not_installed_names_the_extra(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    message = run("gen", "--facts", 60, "--out", tmp_path / "c", "--engine", "ray").refused(2)
    assert (
        message == "argument '--engine': got ray, allowed: local; ray if it is installed: "
        "in a clone of Behemoth, pip install '.[ray]'"
    )


def test_ray_and_parts_exclude_each_other(run, tmp_path):
    message = run("gen", "--out", tmp_path / "c", "--engine", "ray", "--part", "0/2").refused(2)
    assert message.startswith("argument '--part': got 0/2, allowed: not with --engine ray")


def test_no_permission_is_a_failed_run():
    # Root may write anywhere, so the process gives that up once everything is imported. That it may
    # write as another user before the folder is closed shows that it is this that stops it.
    script = textwrap.dedent("""
        import os, sys
        from behemoth.cli.main import main
        out = sys.argv[1]
        assert main(["gen", "--facts", "60", "--out", out + "/first"]) == 0
        if os.getuid() == 0:
            os.chown(out, 65534, 65534)
            os.setgid(65534)
            os.setuid(65534)
        assert main(["gen", "--facts", "60", "--out", out + "/second"]) == 0
        os.chmod(out, 0o555)
        sys.exit(main(["gen", "--facts", "60", "--out", out + "/c"]))
    """)
    # Not below pytest's own folders, which are closed to other users.
    with tempfile.TemporaryDirectory() as out:
        Path(out).chmod(0o755)
        ran = subprocess.run([sys.executable, "-c", script, out], capture_output=True, text=True)
    assert ran.returncode == 1, ran.stderr
    error = ran.stderr.splitlines()[-1]
    assert re.fullmatch(rf"behemoth: error: {re.escape(out)}.*: .*Permission denied.*", error)
    assert "Traceback" not in ran.stderr


def test_a_write_that_fails_half_way_is_told_and_can_go_on(tmp_path, run, contents):
    spec = tmp_path / "spec.toml"
    spec.write_text("[world]\nsubjects = 20000\nrelations = 3\n[corpus]\nshard_bytes = 262144\n")
    script = textwrap.dedent("""
        import resource, sys
        from behemoth.cli.main import main
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        sys.exit(main(["gen", "--spec", sys.argv[1], "--out", sys.argv[2]]))
    """)
    ran = subprocess.run(
        [sys.executable, "-c", script, spec, tmp_path / "c"], capture_output=True, text=True
    )
    assert ran.returncode == 1, ran.stderr
    assert "File too large" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert run("gen", "--spec", spec, "--out", tmp_path / "c").code == 0
    run("gen", "--spec", spec, "--out", tmp_path / "straight")
    assert contents(tmp_path / "c") == contents(tmp_path / "straight")


def test_it_runs_as_a_process_with_messages_on_stderr_alone(spawn, tmp_path):
    process = spawn("gen", "--facts", "6000", "--out", tmp_path / "c", "--json")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert set(json.loads(out)) == KEYS
    assert out.count("\n") == 1
    assert any((tmp_path / "c" / "tokens").iterdir())


def test_schedules_fillers_and_backgrounds_are_options(run, tmp_path):
    made = ("gen", "--facts", "1200", "--exposures", 3, "--probes", 0, "--json")
    first = run(*made, "--filler", "zipf:total_tokens=60_000,words=90", "--schedule", "late:0.99",
                "--out", tmp_path / "a").json()  # fmt: skip
    assert first["tokens"] == 60_000
    assert run("verify", tmp_path / "a").code == 0
    tokens = np.array([3, 4, 0] * 50, "<u2")
    tokens.tofile(tmp_path / "b.bin")
    np.arange(3, 151, 3).astype("<u8").tofile(tmp_path / "b.idx")
    second = run(*made, "--background", tmp_path / "b", "--background-tokens", 31,
                 "--out", tmp_path / "b").json()  # fmt: skip
    assert second["tokens"] == 1200 * 3 * 11 + 31
    assert run("verify", tmp_path / "b").code == 0
    # A spec that names one, with less of it.
    third = run(*made, "--spec", tmp_path / "b", "--background-tokens", 9,
                "--out", tmp_path / "c").json()  # fmt: skip
    assert third["tokens"] == 1200 * 3 * 11 + 9
    refused = run(*made, "--background-tokens", 9, "--out", tmp_path / "d")
    assert refused.code == 2
    assert "'--background-tokens': got 9, allowed: only with a background" in refused.err


def test_sentences_are_inserted_in_the_documents_of_a_background(run, tmp_path, contents):
    tokens = np.array(([3, 4] * 40 + [0]) * 2000, "<u2")
    tokens.tofile(tmp_path / "b.bin")
    np.arange(81, 162_001, 81).astype("<u8").tofile(tmp_path / "b.idx")
    made = ("gen", "--facts", 1200, "--exposures", 3, "--probes", 60, "--background",
            tmp_path / "b", "--insert", "anywhere,per_document=2")  # fmt: skip
    dry = run(*made, "--dry-run", "--json").json()
    assert (dry["documents"], dry["sentences"], dry["tokens"]) == (2000, 3600, 162_000)
    assert run(*made, "--out", tmp_path / "a", "--json").json()["tokens"] == 162_000
    assert run("verify", tmp_path / "a").code == 0
    seen = run("inspect", tmp_path / "a")
    assert "3,600 in 2,000 documents" in seen.out
    assert "anywhere, up to 2 in a document" in seen.out
    assert seen.out.count("has the relation") == 5  # 1.8 in a document, and three are shown
    # A spec says the same, and parts make the same bytes.
    for part in ("1/2", "0/2"):
        done = run("gen", "--spec", tmp_path / "a", "--probes", 60, "--part", part, "--out",
                   tmp_path / "parts")  # fmt: skip
        assert done.code == 0
    assert contents(tmp_path / "parts", "tokens/*.bin") == contents(tmp_path / "a", "tokens/*.bin")
    assert run(*made, "--out", tmp_path / "a").code == 0  # there already
    for options, message in [
        (
            ("--insert", "nowhere"),
            "argument '--insert': got 'nowhere', allowed: 'anywhere'",
        ),
        (("--insert", "start,per_document=0"), "'insert.per_document': got 0, allowed: at least 1"),
        (("--order", "bios"), "'--insert': got an insert with documents of several sentences"),
        (("--schedule", "late:0.9"), "'--schedule': got a schedule beside an insert"),
        (("--exposures", 40), "'--insert': got 48000 sentences and 4000 slots: 2000 of 2000"),
    ]:
        refused = run(*made, *options, "--out", tmp_path / "none")
        assert refused.code == 2
        assert message in refused.err
        assert refused.err.count("\n") == 1
        assert not (tmp_path / "none").exists()
