import json
import shutil

import numpy as np
import polars as pl
import pytest

from behemoth import ArgumentError, Corpus, World, _gen
from behemoth.corpus.table import read_table


def write(path, text):
    path.write_text(text)
    return path


def test_the_references_graph(graph):
    table = read_table(graph)
    assert table.reference
    assert table.names == {}
    assert table.frame.height == 40
    assert table.frame["minority"].null_count() == 26
    assert table.frame["nested"].null_count() == 40
    spec = table.spec(seed=5)
    assert spec["seed"] == 5
    assert spec["subjects"] == 20
    assert spec["table"]["relations"] == [{"objects": 10, "nested": None}] * 2
    assert spec["table"]["reference_words"] is True


def test_the_references_graph_with_nested_objects(tmp_path):
    text = "0 0 3 None 1\n0 1 2 None 0\n1 0 1 None 0\n1 1 2 None 0\n"
    table = read_table(write(tmp_path / "relationship_graph.txt", text))
    # The reference has one number of objects, so the largest counts for all relations.
    assert table.spec()["table"]["relations"] == [{"objects": 4, "nested": 2}] * 2


def noted(tmp_path, **notes):
    folder = tmp_path / "metadata"
    folder.mkdir()
    (folder / "args.json").write_text(json.dumps(notes))
    return write(folder / "relationship_graph.txt", "0 0 3 None 1\n0 1 2 None 0\n1 0 1 None 0\n")


def test_the_reference_notes_the_true_numbers(tmp_path):
    graph = noted(tmp_path, subjects=5, relationships=3, objects=12, num_nested_objects=4)
    table = read_table(graph)
    spec = table.spec()
    assert spec["subjects"] == 5
    nested, plain = {"objects": 12, "nested": 4}, {"objects": 12, "nested": None}
    assert spec["table"]["relations"] == [nested, nested, plain]
    assert table.correlated is None
    world = World.from_table(graph)
    assert world.is_table and not World(10).is_table
    assert (world.num_subjects, world.num_facts) == (5, 9)
    # The graph alone, as it is without the note.
    (graph.parent / "args.json").unlink()
    assert read_table(graph).spec()["table"]["relations"] == [{"objects": 4, "nested": 2}] * 2


def test_the_length_of_words_is_that_of_the_true_numbers(tmp_path):
    graph = noted(tmp_path, subjects=1500, objects=2000, num_nested_objects=0)
    graph.write_text("0 0 3 None None\n1 0 1 None None\n")
    corpus = Corpus(World.from_table(graph))
    assert corpus.document_tokens == 13


@pytest.mark.parametrize("where", ["args.json", "metadata/args.json", "viscera/args.json"])
def test_the_note_lies_beside_the_graph(tmp_path, graph, where):
    (tmp_path / where).parent.mkdir(exist_ok=True)
    (tmp_path / where).write_text('{"objects": 33}')
    assert read_table(graph).spec()["table"]["relations"][0]["objects"] == 33


def test_a_note_that_the_graph_goes_beyond_is_refused(tmp_path):
    keys = {"subjects": "subjects", "relations": "relationships", "objects": "objects",
            "nested": "num_nested_objects"}  # fmt: skip
    for name, key in keys.items():
        count = 3 if name == "objects" else 1
        shutil.rmtree(tmp_path / "metadata", ignore_errors=True)
        table = read_table(noted(tmp_path, **{key: count}))
        seen = {"subjects": 2, "relations": 2, "objects": 4, "nested": 2}[name]
        with pytest.raises(
            ArgumentError,
            match=f"got a graph with {seen} {name}, allowed: up to {count}, as .*args",
        ):
            table.spec()


@pytest.mark.parametrize("text", ["{", "[]", '{"objects": "many"}', '{"objects": true}'])
def test_a_damaged_note_is_refused(tmp_path, graph, text):
    (tmp_path / "args.json").write_text(text)
    with pytest.raises(
        ArgumentError, match=r"got .*args\.json, which is damaged, allowed: the file"
    ):
        read_table(graph)


def test_a_correlated_pair_is_noted_or_said(tmp_path):
    graph = noted(tmp_path, objects=9, correlated_pair=True, binarize_first_correlated=True)
    table = World.from_table(graph).relation_table
    assert table[0]["binarised"] and table[1]["with"] == 0
    # The note is of relation 0, whatever pair is said.
    shutil.rmtree(tmp_path / "metadata")
    graph = noted(tmp_path, objects=9, relationships=3, correlated_pair=True,
                  binarize_first_correlated=True)  # fmt: skip
    for first, second in ((0, 1), (0, 2), (1, 2)):
        table = World.from_table(graph, correlated=(first, second)).relation_table
        assert [row.get("with") for row in table][second] == first
        binarised = [relation for relation, row in enumerate(table) if row.get("binarised")]
        assert binarised == ([] if first else [0])
    frame = pl.DataFrame({"subject": [0] * 3, "relation": [0, 1, 2], "object": [1, 7, 2]})
    world = World.from_table(frame, correlated=(0, 2))
    assert [row.get("with") for row in world.relation_table] == [None, None, 0]
    assert [row["objects"] for row in world.relation_table] == [3, 8, 3]
    # It moves no byte, and is part of the spec.
    plain = World.from_table(frame)
    assert world.facts().equals(plain.facts()) and world.spec != plain.spec
    with pytest.raises(ArgumentError, match="argument 'correlated': got 1:1, allowed: two relat"):
        World.from_table(frame, correlated=(1, 1))
    for none in (3, "0:1", [], (0, 1, 2), (0, "a"), (0.5, 1), (0, -1), (True, 2)):
        with pytest.raises(ArgumentError, match=r"argument 'correlated': got .* such as \(0, 1\)$"):
            World.from_table(frame, correlated=none)


@pytest.mark.parametrize(
    "text",
    [
        "subject,relation,object\n0,0,3\n1,0,4\n0,1,2\n",
        "object,Subject,relation\n3,0,0\n4,1,0\n2,0,1\n",
        "0,0,3\n1,0,4\n0,1,2\n",
        "0\t0\t3\n1\t0\t4\n0\t1\t2\n",
        'subject,relation,object,minority,nested\n0,0,3,,\n1,0,4,None,\n0,1,2,"",\n',
        "0, 0, 3\n1, 0, 4\n0, 1, 2\n",
    ],
)
def test_csv_with_ids(tmp_path, text):
    table = read_table(write(tmp_path / "facts.csv", text))
    assert not table.reference
    assert table.names == {}
    assert table.frame.rows() == [
        (0, 0, 3, None, None),
        (1, 0, 4, None, None),
        (0, 1, 2, None, None),
    ]
    assert table.spec()["table"]["relations"] == [
        {"objects": 5, "nested": None},
        {"objects": 3, "nested": None},
    ]


def test_names_become_numbers_in_sorted_order(tmp_path):
    header = "subject,relation,object,minority\n"
    rows = ["Bob,born in,Rome,\n", "Ann,born in,Paris,Oslo\n", "Ann,likes,tea,\n"]
    table = read_table(write(tmp_path / "facts.csv", header + "".join(rows)))
    assert table.frame.rows() == [(1, 0, 2, None, None), (0, 0, 1, 0, None), (0, 1, 0, None, None)]
    assert table.names["subjects"].rows() == [(0, "Ann"), (1, "Bob")]
    assert table.names["relations"].rows() == [(0, "born in"), (1, "likes")]
    assert table.names["objects"].rows() == [
        (0, 0, "Oslo"),
        (0, 1, "Paris"),
        (0, 2, "Rome"),
        (1, 0, "tea"),
    ]
    again = read_table(write(tmp_path / "again.csv", header + "".join(reversed(rows))))
    assert all(again.names[kind].equals(table.names[kind]) for kind in table.names)


@pytest.mark.parametrize("dtype", [pl.UInt8, pl.Int64, pl.String, pl.Categorical])
def test_parquet_and_frames_of_any_type(tmp_path, dtype):
    frame = pl.DataFrame({"subject": [0, 1, 2], "relation": [0, 0, 0], "object": [5, 1, 0]})
    frame = frame.with_columns(
        pl.col("subject").cast(pl.String).cast(dtype)
        if dtype in (pl.String, pl.Categorical)
        else pl.col("subject").cast(dtype)
    )
    frame.write_parquet(tmp_path / "facts.parquet")
    for table in (read_table(tmp_path / "facts.parquet"), read_table(frame)):
        assert table.frame.rows() == [
            (0, 0, 5, None, None),
            (1, 0, 1, None, None),
            (2, 0, 0, None, None),
        ]


def test_a_minus_one_is_no_minority():
    frame = pl.DataFrame(
        {"subject": [0, 1], "relation": [0, 0], "object": [1, 0], "minority": [-1, 1]}
    )
    assert read_table(frame).frame["minority"].to_list() == [None, 1]


def test_arrays_are_what_the_engine_takes(graph):
    arrays = read_table(graph).arrays()
    assert {name: array.dtype for name, array in arrays.items()} == {
        "subject": np.uint64,
        "relation": np.uint32,
        "object": np.uint32,
        "minority": np.int64,
        "nested": np.int64,
    }
    assert (arrays["nested"] == -1).all()


def test_a_world_of_a_table_says_what_the_table_says(graph):
    table = read_table(graph).frame
    world = World.from_table(graph)
    assert world.num_facts == 40
    facts = world.facts()
    np.testing.assert_array_equal(
        world.objects(table["subject"], table["relation"]), table["object"]
    )
    assert facts["minority_object"].cast(pl.Int64).equals(table["minority"])


def test_a_world_of_a_table_with_gaps():
    frame = pl.DataFrame({"subject": [3, 0, 0], "relation": [1, 0, 1], "object": [0, 1, 2]})
    world = World.from_table(frame)
    assert world.facts().select("fact", "subject", "relation", "object").rows() == [
        (0, 0, 0, 1),
        (1, 0, 1, 2),
        (2, 3, 1, 0),
    ]
    with pytest.raises(ArgumentError, match="subject 3, relation 0"):
        world.objects(3, 0)


def test_a_table_with_nested_objects_has_links():
    frame = pl.DataFrame(
        {"subject": [0, 1, 2], "relation": [0, 0, 0], "object": [0, 1, 2], "nested": [1, 0, 1]}
    )
    world = World.from_table(frame)
    assert (world.num_relations, world.num_link_relations) == (2, 1)
    np.testing.assert_array_equal(world.objects([0, 1, 2], 1), [1, 0, 1])
    np.testing.assert_array_equal(world.links(1), [1, 0, 1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "got 2 columns without a header in .*, allowed: subject, relation, object"),
        ("1,2,3,4,5,6\n", "got 6 columns without a header"),
        ("", "starts with an empty line, allowed: a header or a fact"),
        ("subject,relation,object\n", "got no facts in .*, allowed: one or more"),
        ("subject,relation,object\n1,,2\n", "got no relation in row 0"),
        ("1,2,3\n1,2\n", "got no object in row 1"),
        ("-1,2,3\n", "got -1 in column subject"),
        ("1,2,3\n1,2,3,4,5,6,7\n", "which is not a valid CSV file, allowed: a"),
        ("fact,object\n1,2\n", "got columns fact, object in .*, allowed: subject, relation"),
        ("subject,relation,obj\n1,2,3\n", "got columns subject, relation, obj in "),
        ("head,relation,tail\nAnn,likes,tea\n", "got columns head, relation, tail in "),
        ("Subj,Pred,Obj\nAnn,likes,tea\n", "got columns subj, pred, obj in "),
        ("subj\tpred\tobj\nAnn\tlikes\ttea\n", "got columns subj, pred, obj in "),
        ("id,entity,property,value\n1,Ann,likes,tea\n", "got columns id, entity, property, value"),
        ("person,relation,city\nAnn,was born in,Rome\n", "got columns person, relation, city in "),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, text, message):
    with pytest.raises(
        ArgumentError, match=f"argument 'table': {message}|argument 'table': .*{message}"
    ):
        read_table(write(tmp_path / "facts.csv", text))


@pytest.mark.parametrize("first", ["object,is a,thing", "Ann,likes,s", "p,r,q"])
def test_a_word_of_a_header_may_be_a_name_in_the_first_fact(tmp_path, first):
    table = read_table(write(tmp_path / "facts.csv", f"{first}\nBob,likes,tea\n"))
    assert table.frame.height == 2
    assert first.partition(",")[0] in table.names["subjects"]["name"].to_list()


def test_a_float_is_no_id_and_no_name():
    frame = pl.DataFrame({"subject": [0.5], "relation": [0], "object": [0]})
    with pytest.raises(
        ArgumentError, match=r"got Float64 in column subject .*allowed: whole numbers or names"
    ):
        read_table(frame)


def test_ids_beside_gaps_may_be_written_as_floats(tmp_path):
    """As pandas does."""
    header = "subject,relation,object,minority\n"
    table = read_table(write(tmp_path / "facts.csv", header + "0,0,3,\n1,0,4,3.0\n2.0,0,1,-1.0\n"))
    assert table.names == {} and table.frame["minority"].to_list() == [None, 3, None]
    assert table.frame["subject"].to_list() == [0, 1, 2]
    bad = write(tmp_path / "bad.csv", header + "0,0,3,\n1,0,4,3.0\n2,0,1,2.50\n")
    with pytest.raises(
        ArgumentError, match=r"got 2.50 in column minority .*whole numbers or names"
    ):
        read_table(bad)
    named = write(tmp_path / "named.csv", header + "0,0,3.5,\n1,0,attic,\n")
    assert read_table(named).names["objects"]["name"].to_list() == ["3.5", "attic"]
    long = write(tmp_path / "long.csv", header + f"{10**20},0,3,\n{10**21},0,4,\n")
    assert read_table(long).names["subjects"]["name"].to_list() == [f"{10**20}", f"{10**21}"]


@pytest.mark.parametrize("kind", ["frame", "facts.parquet"])
@pytest.mark.parametrize("said", [["1.0", "2.0", "3.0"], ["1", "1.0", "2"], ["1.5", "2.5", "3.5"]])
def test_text_with_a_point_is_a_name_where_numbers_have_a_type(tmp_path, kind, said):
    source = pl.DataFrame({"subject": [0, 1, 2], "relation": [0] * 3, "object": said})
    if kind != "frame":
        source.write_parquet(tmp_path / kind)
    table = read_table(source if kind == "frame" else tmp_path / kind)
    assert table.frame["object"].to_list() == [0, 1, 2]
    assert table.names["objects"]["name"].to_list() == said


@pytest.mark.parametrize("kind", ["frame", "facts.parquet", "facts.csv", "pandas.csv"])
def test_link_facts_are_skipped_in_every_form(tmp_path, kind):
    world = World(subjects=6, relations=1, objects=4, nested=2)
    facts = world.facts()
    source = facts if kind == "frame" else tmp_path / kind
    if kind == "facts.parquet":
        facts.write_parquet(source)
    elif kind == "facts.csv":
        facts.write_csv(source)
    elif kind == "pandas.csv":
        facts.with_columns(link=pl.col("link").cast(pl.String).str.to_titlecase()).write_csv(source)
    found = World.from_table(source)
    assert found.num_facts == facts.filter(~pl.col("link")).height == 12
    assert found.relation_table[-1]["relation"] == 1
    other = facts.with_columns(link=pl.lit("none"))
    with pytest.raises(
        ArgumentError, match=r"got 'none' as link in row 0 .from 0. of the frame, al"
    ):
        read_table(other)
    with pytest.raises(ArgumentError, match=r"got None as link in row 0 .* true or false"):
        read_table(facts.with_columns(link=pl.lit(None, pl.Boolean)))
    with pytest.raises(
        ArgumentError, match=r"got List.* in column link of the frame.* true or fal"
    ):
        read_table(facts.with_columns(link=pl.lit([True])))


@pytest.mark.parametrize("link", ["https://example.org", 1, None, True, ["a"]])
def test_a_column_link_of_another_table_is_ignored(tmp_path, link):
    frame = pl.DataFrame({"subject": [0, 1], "relation": [0, 0], "object": [0, 1]})
    own = frame.with_columns(link=pl.lit(link))
    assert read_table(own).frame.height == 2
    if not isinstance(link, list):
        own.write_csv(tmp_path / "own.csv")
        assert read_table(tmp_path / "own.csv").frame.height == 2


def test_a_missing_column_is_named():
    with pytest.raises(
        ArgumentError, match=r"got columns subject, thing .*allowed: subject, relation, object"
    ):
        read_table(pl.DataFrame({"subject": [1], "thing": [2]}))


def test_a_fact_told_twice_is_refused():
    frame = pl.DataFrame({"subject": [0, 0], "relation": [0, 0], "object": [1, 2]})
    with pytest.raises(ArgumentError, match="each pair once"):
        World.from_table(frame)


def test_a_file_that_is_not_there_or_no_text(tmp_path):
    with pytest.raises(
        ArgumentError,
        match=r"'table': got .*nothing.csv, which does not exist, allowed: a relationship_graph",
    ):
        read_table(tmp_path / "nothing.csv")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and then nothing of the kind")
    with pytest.raises(ArgumentError, match=r"bad\.parquet, which is not a valid Parquet file"):
        read_table(tmp_path / "bad.parquet")
    (tmp_path / "latin.csv").write_bytes(b"1,2,3\n1,2,caf\xe9\n")
    with pytest.raises(ArgumentError, match=r"latin.csv \(not UTF-8 at byte 13\), allowed: UTF"):
        read_table(tmp_path / "latin.csv")


def test_ids_that_no_table_holds_are_refused_by_their_file(tmp_path):
    frame = pl.DataFrame({"subject": [2**64 - 1, 0], "relation": [0, 0], "object": [1, 2]},
                         schema_overrides={"subject": pl.UInt64})  # fmt: skip
    frame.write_parquet(tmp_path / "large.parquet")
    with pytest.raises(ArgumentError, match=r"got 18446744073709551615 in column subject of "):
        read_table(tmp_path / "large.parquet")
    with pytest.raises(ArgumentError, match="argument 'table': got 1099511627777 subjects x relat"):
        World.from_table(frame.with_columns(subject=pl.Series([2**40, 0])))


@pytest.mark.parametrize("column", ["minority", "nested"])
@pytest.mark.parametrize("value", [2**32 - 1, 2**32, -2])
def test_an_object_that_stands_for_none_is_refused(column, value):
    relation = {"objects": 5, "nested": 3 if column == "nested" else None}
    spec = json.dumps({"subjects": 1, "seed": 0, "table": {"relations": [relation]}})
    none = np.full(1, -1)
    table = {
        "subject": np.zeros(1, np.uint64), "relation": np.zeros(1, np.uint32),
        "object": np.zeros(1, np.uint32), "minority": none, "nested": none,
    }  # fmt: skip
    with pytest.raises(ArgumentError) as caught:
        _gen.World(spec, {**table, column: np.array([value])})
    assert str(caught.value) == (
        f"argument '{column}': got {value}, allowed: -1 for none, or an id below 4294967295"
    )


@pytest.mark.parametrize(
    "text",
    [
        "subject,relation,object\n0,0,1\n1,0,2\n",
        "0,0,1\n1,0,2\n",
        "0 0 1 None None\n1 0 2 None None\n",
        "Anna\tborn in\tRome\nBob\tborn in\tOslo\n",
    ],
)
def test_a_byte_order_mark_is_no_part_of_a_table(tmp_path, text):
    plain = read_table(write(tmp_path / "plain.csv", text))
    marked = read_table(write(tmp_path / "marked.csv", "\ufeff" + text))
    assert marked.frame.equals(plain.frame)
    assert marked.names.keys() == plain.names.keys()
    assert all(marked.names[kind].equals(own) for kind, own in plain.names.items())
