import polars as pl
import pytest

from behemoth import ArgumentError, Corpus, CorpusError, World, facts, import_


def test_facts_are_those_of_the_world(tmp_path, rich_corpus):
    rich_corpus.write(tmp_path / "corpus", probes=0)
    calls = []
    written = facts(
        tmp_path / "corpus",
        tmp_path / "facts.parquet",
        progress=lambda at: calls.append((at.done, at.total)),
    )
    frame = pl.read_parquet(tmp_path / "facts.parquet")
    assert frame.drop("exposures").equals(rich_corpus.world.facts())
    assert frame["exposures"].to_list() == rich_corpus.exposures().tolist()
    assert facts(tmp_path / "corpus").equals(frame)
    assert written.facts == frame.height
    assert written.bytes == (tmp_path / "facts.parquet").stat().st_size
    assert calls[-1] == (frame.height, frame.height)


@pytest.mark.parametrize(("start", "stop"), [(0, 10), (37, 41), (100, None), (5, 5)])
def test_a_range_of_facts(tmp_path, rich_corpus, monkeypatch, start, stop):
    monkeypatch.setattr("behemoth.corpus.tables._CHUNK", 9)
    (tmp_path / "spec.toml").write_text(rich_corpus.spec_toml)
    facts(tmp_path, tmp_path / "facts.parquet", start=start, stop=stop)
    frame = pl.read_parquet(tmp_path / "facts.parquet")
    assert frame.drop("exposures").equals(rich_corpus.world.facts(start, stop))
    assert facts(tmp_path, start=start, stop=stop).equals(frame)


def test_facts_of_a_twin_have_its_objects(tmp_path, rich_corpus):
    twin = rich_corpus.override({0: 3})
    twin.write(tmp_path / "twin", probes=0)
    facts(tmp_path / "twin", tmp_path / "facts.parquet")
    assert pl.read_parquet(tmp_path / "facts.parquet")["object"][0] == 3
    assert Corpus.open(tmp_path / "twin").spec_hash == twin.spec_hash


@pytest.mark.parametrize(("start", "stop"), [(0, 10**9), (5, 4)])
def test_a_range_beyond_the_facts_is_refused(tmp_path, corpus, start, stop):
    (tmp_path / "spec.toml").write_text(corpus.spec_toml)
    with pytest.raises(
        ArgumentError, match=f"argument 'start, stop': got {start}:{stop}, allowed: a:b .* 180"
    ):
        facts(tmp_path, tmp_path / "facts.parquet", start=start, stop=stop)
    assert not (tmp_path / "facts.parquet").exists()


def test_facts_need_a_file_to_write(tmp_path, corpus):
    (tmp_path / "spec.toml").write_text(corpus.spec_toml)
    with pytest.raises(
        ArgumentError, match=r"argument 'out': got .* a directory, allowed: a file name .* .parquet"
    ):
        facts(tmp_path, tmp_path)


def test_the_references_graph_becomes_a_corpus(tmp_path, graph):
    made = import_(graph, tmp_path / "spec")
    assert (made.subjects, made.relations, made.facts) == (20, 2, 40)
    assert made.reference
    corpus = Corpus.from_spec(tmp_path / "spec")
    sentence = corpus.decode(corpus.tokens(0, 1))
    assert sentence.startswith("subject S")
    assert corpus.world.facts().equals(World.from_table(graph).facts())


def reference_word(number, count):
    """The digits of a word as the reference's word maker splits them."""
    if count < 1000:
        return [number]
    root = int(count**0.5)
    # Its search for a divisor finds the one i for which count % root - i is 0.
    divisor = 1000 if count % 1000 == 0 else root - count % root
    return [number // divisor, number % divisor]


@pytest.mark.parametrize("subjects", [20, 999, 1000, 1055, 1500, 2025])
@pytest.mark.parametrize("objects", [7, 1200])
def test_sentence_for_sentence_what_the_reference_writes(tmp_path, subjects, objects):
    rows = [
        (subject, relation, (subject * 31 + relation) % objects)
        for subject in range(subjects)
        for relation in range(2)
    ]
    # The reference takes the number of objects from its command line: the last row has the last.
    rows[-1] = (*rows[-1][:2], objects - 1)
    graph = tmp_path / "relationship_graph.txt"
    graph.write_text("".join(f"{s} {r} {o} None None\n" for s, r, o in rows))
    import_(graph, tmp_path / "spec")
    corpus = Corpus.from_spec(tmp_path / "spec")

    def name(prefix, digits):
        width = {len(word.removeprefix(f"{prefix}.")) for word in corpus.token_names
                 if word.startswith(f"{prefix}.")}  # fmt: skip
        rest = [f"{prefix}.{digit:0{width.pop()}}" for digit in digits[1:]]
        return " ".join([f"{prefix}{digits[0]}", *rest])

    expected = sorted(
        f"subject {name('S', reference_word(s, subjects))} has the relation R{r} with object "
        f"{name(f'O{r}:', reference_word(o, objects))} . <|endoftext|>"
        for s, r, o in rows
    )
    text = corpus.decode(corpus.tokens(0, corpus.num_documents))
    written = sorted(f"{part.strip()} <|endoftext|>" for part in text.split("<|endoftext|>")[:-1])
    assert written == expected


def test_names_are_kept_beside_the_spec(tmp_path):
    table = tmp_path / "facts.csv"
    table.write_text("subject,relation,object\nAnn,born in,Paris\nBob,born in,Rome\n")
    made = import_(table, tmp_path / "spec", seed=9)
    assert made.names == ["objects", "relations", "subjects"]
    names = tmp_path / "spec" / "names"
    assert pl.read_parquet(names / "subjects.parquet").rows() == [(0, "Ann"), (1, "Bob")]
    assert pl.read_parquet(names / "objects.parquet").columns == ["relation", "id", "name"]
    world = World.from_spec(tmp_path / "spec")
    assert world.objects([0, 1], 0).tolist() == [0, 1]
    assert world.spec["seed"] == 9


def test_facts_go_out_and_come_back(tmp_path):
    world = World(50, 3, 20, minority=0.2, seed=8)
    (tmp_path / "spec.toml").write_text(Corpus(world).spec_toml)
    facts(tmp_path, tmp_path / "facts.parquet")
    import_(tmp_path / "facts.parquet", tmp_path / "back")
    assert World.from_spec(tmp_path / "back").facts().equals(world.facts())


def test_a_directory_of_something_else_is_not_touched(tmp_path, graph):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    for force in (False, True):
        with pytest.raises(ArgumentError, match=r"holds something else \(thesis.txt\)"):
            import_(graph, out, force=force)
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]
    with pytest.raises(ArgumentError, match="a file, allowed: a new or empty directory"):
        import_(graph, out / "thesis.txt")


def test_a_spec_that_is_there_is_replaced_by_force_alone(tmp_path, graph):
    table = tmp_path / "facts.csv"
    table.write_text("Ann,likes,tea\n")
    import_(table, tmp_path / "spec")
    with pytest.raises(CorpusError, match="holds a spec already; force=True replaces it"):
        import_(graph, tmp_path / "spec")
    import_(graph, tmp_path / "spec", force=True)
    assert World.from_spec(tmp_path / "spec").num_facts == 40
    assert not list((tmp_path / "spec" / "names").glob("*"))


def test_a_bad_table_leaves_no_trace(tmp_path):
    table = tmp_path / "facts.csv"
    table.write_text("0,0,1\n0,0,2\n")
    with pytest.raises(ArgumentError):
        import_(table, tmp_path / "spec")
    assert not (tmp_path / "spec").exists()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_facts(measure, tmp_path):
    script = """
import sys
from behemoth import facts
facts(sys.argv[1], sys.argv[2], stop=int(sys.argv[3]))
print(peak())
"""
    (tmp_path / "spec.toml").write_text(Corpus(World(10**8, 6, 400)).spec_toml)
    few, many = (
        measure(script, tmp_path, tmp_path / "f.parquet", count)[0]
        for count in (4_000_000, 40_000_000)
    )
    assert many < few * 1.5
    assert many < 600 << 20


def test_ids_with_gaps_are_refused_before_they_are_listed():
    """A list of 3 million relations took minutes."""
    one = pl.DataFrame({"subject": [0], "relation": [3_000_000], "object": [0]})
    with pytest.raises(ArgumentError, match=r"'table.relations': got 3000001, allowed: 1 to 10000"):
        World.from_table(one)
    one = one.with_columns(relation=9_999)
    assert len(World.from_table(one).relation_table) == 10_000
