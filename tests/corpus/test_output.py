"""The file of a result is refused where it would replace a file of a directory."""

import re
import shutil

import polars as pl
import pytest

from behemoth import ArgumentError, Corpus, World, export, facts, import_, plan, verify
from behemoth.corpus.output import check_target


def test_a_frame_is_written_anywhere_and_replaced(tmp_path):
    Corpus(World(20, 3, 10)).write(tmp_path / "c", probes=5)
    for name in ("f.parquet", "c/f.parquet", "c/probes/mine.parquet", "c/sub/manifest.parquet"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        for facts_written in (60, 30):
            facts(tmp_path / "c", tmp_path / name, stop=facts_written)
            assert pl.read_parquet(tmp_path / name).height == facts_written


def test_another_result_is_replaced_only_by_force(tmp_path):
    corpus = Corpus(World(20, 3, 10))
    other = corpus.override({0: (corpus.world.objects(0, 0) + 1) % 10})
    corpus.write(tmp_path / "c", probes=0)
    other.write(tmp_path / "twin", probes=0)
    out = tmp_path / "f.parquet"
    facts(tmp_path / "c", out)
    said = re.escape(f"argument 'out': got {str(out)!r}, which holds facts of another corpus, all")
    with pytest.raises(ArgumentError, match=said):
        facts(tmp_path / "twin", out)
    assert pl.read_parquet(out).drop("exposures").equals(corpus.world.facts())
    facts(tmp_path / "twin", out, force=True)
    assert pl.read_parquet(out).drop("exposures").equals(other.world.facts())
    pl.DataFrame({"mine": [1]}).write_parquet(out)
    with pytest.raises(ArgumentError, match="which holds something else, allowed: another file,"):
        facts(tmp_path / "c", out)
    assert pl.read_parquet(out).columns == ["mine"]


def test_files_of_directories_are_refused_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "t.csv").write_text("subject,relation,object\n0,0,1\n1,0,0\n")
    import_(tmp_path / "t.csv", tmp_path / "spec")
    Corpus(World(120, 3, 10), exposures=2).write(tmp_path / "c", probes=5)
    plan(tmp_path / "c", out=tmp_path / "p", edits=2, repeats=2)
    (tmp_path / "run").mkdir()
    shutil.copy(tmp_path / "p" / "probes.parquet", tmp_path / "run" / "metrics.parquet")
    (tmp_path / "run" / "run.json").write_text('{"files": {"metrics.parquet": "0"}}')
    export(tmp_path / "c", tmp_path / "e", to="parquet")
    files = list(tmp_path.rglob("*.parquet"))
    assert len(files) == 7
    before = {file: file.read_bytes() for file in files}
    (tmp_path / "link").symlink_to(tmp_path / "p")
    for file in [*files, tmp_path / "link" / "probes.parquet"]:
        said = re.escape(f"argument 'out': got {str(file)!r}, which belongs to ")
        with pytest.raises(ArgumentError, match=said):
            facts("nowhere", file)
    assert before == {file: file.read_bytes() for file in files}
    assert verify(tmp_path / "c").ok and verify(tmp_path / "p").ok
    monkeypatch.chdir(tmp_path / "p")
    with pytest.raises(ArgumentError, match=r"got 'edits.parquet', which belongs to p/plan.toml"):
        check_target("edits.parquet")


def test_records_that_are_not_ours_refuse_nothing(tmp_path):
    for name, text in (("run.json", "{"), ("sums.json", "[1]"), ("plan.toml", "files = 3")):
        (tmp_path / name).write_text(text)
    assert check_target(tmp_path / "f.parquet") == tmp_path / "f.parquet"


def test_a_file_that_nothing_would_read_is_refused(tmp_path):
    for name in ("f.csv", "f"):
        with pytest.raises(ArgumentError, match=f"'out': got .*{name}, allowed: .* in .parquet"):
            check_target(tmp_path / name)


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "there.parquet").write_bytes(b"PAR1")
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write anywhere
    for name in ("there.parquet", "f.parquet", "new/f.parquet"):
        with pytest.raises(PermissionError) as caught:
            check_target(tmp_path / name)
        assert caught.value.filename == str(tmp_path / name)
