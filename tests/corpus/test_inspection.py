import json

import polars as pl
import pytest

from behemoth import ArgumentError, Corpus, CorpusError, Grammar, World, inspect
from behemoth.corpus import verify
from behemoth.corpus.inspection import sample_text
from behemoth.corpus.tokenizer import earlier_tokenizer_files, write_tokenizer
from behemoth.support.digests import sealed


@pytest.fixture
def written(tmp_path):
    corpus = Corpus(World(20_000, 3, 50, seed=5), shard_bytes=1 << 18)
    corpus.write(tmp_path / "corpus", probes=100)
    return tmp_path / "corpus"


def test_inspect_says_what_a_directory_is(written):
    report = inspect(written)
    assert report.complete
    assert report.facts == report.sentences == report.documents == 60_000
    assert report.tokens == 60_000 * 12
    assert report.shards == report.shards_present == 6
    assert report.exposure_classes == [{"exposures": 1, "facts": 60_000}]
    assert report.entropy_bits == Corpus.open(written).world.entropy
    assert len(report.samples) == 3
    assert all(text.startswith("subject S") for text in report.samples)
    assert report.samples[0] == Corpus.open(written).decode(Corpus.open(written).tokens(0, 1))


def test_inspect_of_an_unfinished_directory(tmp_path):
    corpus = Corpus(World(20_000, 3, 50, seed=5), shard_bytes=1 << 18)
    corpus.write(tmp_path, part=(1, 3))
    report = inspect(tmp_path, samples=1)
    assert not report.complete
    assert (report.shards_present, report.shards) == (2, 6)
    assert 0 < report.tokens < 60_000 * 12
    assert len(report.samples) == 1


def test_samples_come_from_the_disk(written):
    path = written / "tokens" / "00000.bin"
    path.write_bytes(b"\x02\x00" * 5 + b"\x00\x00" + path.read_bytes()[12:])
    assert inspect(written).samples[0] == ". . . . . <|endoftext|>"


def test_long_documents_are_cut(world):
    corpus = Corpus(world, exposures=100, order="bios", documents_per_subject=1)
    text = sample_text(corpus, 2, longest=20)
    assert [len(sample.split()) for sample in text] == [21, 21]
    assert all(sample.endswith(" ...") for sample in text)
    assert sample_text(corpus, 0) == []


def test_a_directory_as_written_is_as_it_should_be(written):
    calls = []
    report = verify(written, progress=lambda at: calls.append((at.done, at.total)))
    assert report.ok
    assert report.bad == []
    assert report.missing == []
    assert (report.shards, report.tokens) == (6, 720_000)
    assert calls[-1][0] == calls[-1][1]


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path):
    path.write_bytes(path.read_bytes()[:-2])


def test_an_altered_shard_is_named(written):
    flip(written / "tokens" / "00003.bin")
    report = verify(written)
    assert not report.ok
    assert [(row["shard"], row["file"]) for row in report.bad] == [(3, "tokens/00003.bin")]
    assert report.bad[0]["reason"]


def test_a_shard_cut_short_is_named(written):
    cut(written / "tokens" / "00001.bin")
    report = verify(written)
    assert [row["file"] for row in report.bad + [{"file": name} for name in report.missing]] == [
        "tokens/00001.bin"
    ]


def test_a_lost_shard_is_named(written):
    (written / "tokens" / "00002.bin").unlink()
    report = verify(written)
    assert not report.ok
    assert "tokens/00002.bin" in str(report.missing + report.bad)


def test_an_altered_shard_with_a_record_to_match_is_found_by_its_tokens(written):
    from behemoth._gen import digest

    path = written / "tokens" / "00003.bin"
    flip(path)
    record = json.loads(path.with_suffix(".json").read_text())
    record["blake3"] = digest(path.read_bytes())
    path.with_suffix(".json").write_text(json.dumps(record))
    # The manifest tells the hash that the shard had.
    assert [row["file"] for row in verify(written).bad] == ["tokens/00003.bin", "manifest.json"]


def test_the_tokenizer_of_an_earlier_program_is_as_it_should_be(written):
    earlier = earlier_tokenizer_files(Corpus.open(written).token_names)
    assert b"unk_token" not in earlier["tokenizer_config.json"]
    write_tokenizer(written / "tokenizer", earlier)
    assert verify(written).ok


def test_an_altered_tokenizer_and_lost_probes_are_named(written):
    flip(written / "tokenizer" / "tokenizer.json")
    (written / "tokenizer" / "special_tokens_map.json").unlink()
    (written / "probes" / "default.parquet").write_bytes(b"PAR1")
    report = verify(written)
    assert {row["file"] for row in report.bad} == {
        "tokenizer/tokenizer.json",
        "probes/default.parquet",
    }
    assert report.missing == ["tokenizer/special_tokens_map.json"]


def test_probes_of_another_corpus_are_named(written, tmp_path):
    Corpus(World(10, 1, 5)).write(tmp_path / "other")
    (tmp_path / "other" / "probes" / "default.parquet").replace(
        written / "probes" / "default.parquet"
    )
    assert [row["file"] for row in verify(written).bad] == ["probes/default.parquet"]


def test_probes_that_are_damaged_are_not_parsed(written, monkeypatch):
    # Polars panics at one flip of 200 in the metadata of a Parquet file.
    def parsed(path):
        raise AssertionError(f"{path} was parsed")

    flip(written / "probes" / "default.parquet")
    monkeypatch.setattr("behemoth.corpus.probes.probe_metadata", parsed)
    assert [row["file"] for row in verify(written).bad] == ["probes/default.parquet"]


@pytest.mark.parametrize("look", [inspect, verify])
def test_what_is_no_corpus_directory(tmp_path, look):
    with pytest.raises(
        ArgumentError,
        match=r"argument 'directory': got .*, allowed: a (corpus dir|directory of a corpus)",
    ):
        look(tmp_path)


@pytest.mark.parametrize("look", [inspect, verify])
def test_a_manifest_that_is_damaged_or_of_another_version(written, look):
    path = written / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {"format_version": 99}))
    with pytest.raises(CorpusError, match="version 99"):
        look(written)
    path.write_text("{")
    with pytest.raises(CorpusError, match="manifest"):
        look(written)


def test_a_manifest_without_the_version_that_wrote_it_is_named(written):
    path = written / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["behemoth"]
    path.write_text(json.dumps(manifest))
    with pytest.raises(CorpusError, match=r"manifest.json is damaged: it is not a valid manifest"):
        inspect(written)


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"tokens": "3"}', b"\xff"])
def test_the_damaged_record_of_a_shard_is_named(tmp_path, content):
    corpus = Corpus(World(20_000, 3, 50, seed=5), shard_bytes=1 << 18)
    corpus.write(tmp_path, part=(0, 3))
    (tmp_path / "tokens" / "00001.json").write_bytes(content)
    with pytest.raises(CorpusError, match=r"00001.json is damaged: it is not a valid record of a"):
        inspect(tmp_path)


def test_probes_without_their_number_of_facts_are_named(tmp_path):
    Corpus(World(20, 3, 5)).write(tmp_path, probes=5)
    path = tmp_path / "probes" / "default.parquet"
    metadata = pl.read_parquet_metadata(path)
    metadata = {key: value for key, value in metadata.items() if key.startswith("behemoth_")}
    pl.read_parquet(path).write_parquet(path, metadata=metadata | {"behemoth_facts": "5.5"})
    (tmp_path / "sums.json").unlink()  # as earlier versions left it
    reasons = {row["file"]: row["reason"] for row in verify(tmp_path).bad}
    assert reasons == {"probes/default.parquet": "contains no probes of this corpus"}


@pytest.mark.parametrize("files", [[], None, {"manifest.json": 3}])
def test_digests_that_are_no_mapping_are_named(tmp_path, files):
    corpus = Corpus(World(20, 3, 5))
    corpus.write(tmp_path, probes=5)
    values = sealed({"spec_hash": corpus.spec_hash, "files": files})
    (tmp_path / "sums.json").write_text(json.dumps(values))
    assert verify(tmp_path).bad == [{"shard": None, "file": "sums.json", "reason": "is damaged"}]


def test_a_spec_that_was_changed_in_the_manifest_is_found(written):
    path = written / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["spec"]["world"]["seed"] = 6
    path.write_text(json.dumps(manifest))
    with pytest.raises(CorpusError, match=r"manifest\.json is damaged: spec and hash do not ag"):
        Corpus.open(written)
    (written / "sums.json").unlink()  # nothing says which of the two was changed
    with pytest.raises(CorpusError, match="is damaged: spec and hash do not agree"):
        Corpus.open(written)


def test_a_spec_that_is_no_longer_one_is_found(written):
    path = written / "manifest.json"
    path.write_text(path.read_text().replace('"kind": "constant"', '"kind": "konstant"'))
    with pytest.raises(CorpusError, match=r"manifest\.json is damaged: argument 'exposures\.kind'"):
        verify(written)
    (written / "sums.json").write_text("{")
    with pytest.raises(CorpusError, match=r"[^n] is damaged: argument 'exposures\.kind'"):
        verify(written)


def test_a_link_to_itself_in_the_place_of_a_file_is_named(written):
    (written / "spec.toml").unlink()
    (written / "spec.toml").symlink_to("spec.toml")
    with pytest.raises(CorpusError, match=r"spec\.toml is not a regular file"):
        verify(written)


def test_samples_of_a_twin_that_leaves_facts_out(corpus):
    assert len(sample_text(corpus.without(range(170)), 5)) <= 5


def change_a_row(path):
    frame = pl.read_parquet(path)
    last = frame.columns[-1]
    pl.concat([frame[:-1], frame[-1:].with_columns(pl.col(last) + 1)]).write_parquet(path)


@pytest.mark.parametrize("name", ["table.parquet", "exposures.parquet"])
@pytest.mark.parametrize("harm", [change_a_row, cut, lambda path: path.unlink()])
def test_an_array_that_a_corpus_rests_on_is_damaged_or_lost(tmp_path, graph, name, harm):
    corpus = Corpus(World.from_table(graph), exposures=[3] * 40)
    corpus.write(tmp_path / "corpus")
    harm(tmp_path / "corpus" / name)
    for look in (inspect, verify):
        with pytest.raises(CorpusError, match=rf"corpus/{name} is (missing|damaged: argument)"):
            look(tmp_path / "corpus")
    corpus.write(tmp_path / "corpus")
    assert verify(tmp_path / "corpus").ok


@pytest.mark.parametrize("sealed_sums", [True, False])
@pytest.mark.parametrize("name", ["table.parquet", "exposures.parquet", "grammar.toml"])
def test_a_file_that_is_no_text_or_has_other_columns_is_named(tmp_path, graph, name, sealed_sums):
    if name == "grammar.toml":
        corpus = Corpus(Grammar.named("bios-en").world(20), grammar="bios-en")
    else:
        corpus = Corpus(World.from_table(graph), exposures=[3] * 40)
    corpus.write(tmp_path / "corpus", probes=0)
    path = tmp_path / "corpus" / name
    if name == "grammar.toml":
        path.write_bytes(path.read_bytes() + b"# \xe5\n")
    else:
        frame = pl.read_parquet(path)
        frame.rename({column: f"{column}s" for column in frame.columns}).write_parquet(path)
    if not sealed_sums:  # an earlier version's, which only says what cannot be read
        (tmp_path / "corpus" / "sums.json").unlink()
    said = rf"corpus/{name} is damaged" if sealed_sums else rf"got a {name} that cannot be read \("
    for look in (inspect, verify):
        with pytest.raises(CorpusError, match=said):
            look(tmp_path / "corpus")


def test_a_url_is_looked_at_like_a_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("BEHEMOTH_CACHE", str(tmp_path / "cache"))
    url = (tmp_path / "store" / "corpus").as_uri()
    corpus = Corpus(World(20, 2, 5), exposures=3)
    corpus.write(url)
    assert verify(url).ok and verify(url).directory == url
    report = inspect(url, samples=1)
    assert (report.directory, report.complete, report.tokens) == (url, True, corpus.count_tokens())
