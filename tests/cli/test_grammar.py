"""`behemoth grammar` and `behemoth tokenizer`."""

import json
import tomllib

import pytest

from behemoth import Corpus, Grammar
from behemoth.corpus.grammar import GRAMMARS


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    from behemoth import train_tokenizer

    place = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer("bios-en", place, vocabulary=400, documents=100)
    return place


def test_check_shows_what_a_grammar_is(run):
    ran = run("grammar", "check", "bios-en")
    assert ran.code == 0 and ran.err == ""
    for word in (
        "bios-en (en): Six facts about invented people", "160,000,000", "he 2, she 2, they 1",
        "composed: employer", "46 + 6", "10 joint statements of birth_date, birth_city",
    ):  # fmt: skip
        assert word in ran.out, ran.out
    samples = [line for line in ran.out.splitlines() if line.endswith(".")]
    assert len(samples) >= 2


def test_check_as_json(run):
    found = run("grammar", "check", "stories-en", "--json").json()
    assert found["name"] == "stories-en" and found["language"] == "en"
    assert found["names"] == 160_000_000 and found["forms"] > 200
    assert [row["key"] for row in found["relations"]][:2] == ["birth_date", "birth_city"]
    assert found["relations"][5]["of"] == "employer"
    assert found["ambiguities"] == [] and len(found["samples"]) == 2
    assert found["vocabulary"] is None and found["documents"] == 0


def test_check_with_a_tokenizer(run, tokenizer):
    found = run("grammar", "check", "bios-en", "--tokenizer", tokenizer, "--json").json()
    assert (found["vocabulary"], found["documents"]) == (400, 200)
    assert (
        "400 ids; 200 documents" in run("grammar", "check", "bios-en", "--tokenizer", tokenizer).out
    )
    message = run("grammar", "check", "bios-en", "--tokenizer", tokenizer / "none").refused()
    assert message.startswith("argument '--tokenizer': got ")


def test_check_says_what_is_wrong_with_file_line_and_key(run, tmp_path):
    text = Grammar.named("bios-en").source
    file = tmp_path / "mine.toml"
    head, statements, rest = text.partition("statements = [")
    file.write_text(head + statements + rest.replace("{object}", "{objekt}", 1))
    message = run("grammar", "check", file).refused()
    line = 1 + file.read_text().split("{objekt}")[0].count("\n")
    place = f"{file}, line {line}: relations.birth_date.statements[0].text"
    assert message.startswith(f"argument '{place}': got `{{objekt}}` (did you mean ")
    assert message.endswith(", {object}")
    assert run("grammar", "check", file, "--json").refused() == message
    assert "did you mean bios-en?" in run("grammar", "check", "bios-em").refused()


def test_check_warns_of_what_is_ambiguous(run, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(
        'name = "mine"\n[lists]\nfirst = ["Ada", "Bo"]\ncity = ["York", "York Mills"]\n'
        '[subject]\nname = "{first}"\n[relations.city]\nobjects = "{city}"\n'
        'statements = ["{subject} lives in {object}."]\n'
    )
    ran = run("grammar", "check", file)
    assert ran.code == 0 and "mine (und)" in ran.out
    told = 'relations.city: the answer "York" is the beginning of "York Mills"'
    assert ran.err == f"behemoth: warning: {told}\n"
    found = run("grammar", "check", file, "--json")
    assert found.json()["ambiguities"] == [told] and found.err == ""


def test_check_names_relations_without_held_out_probes(run, tmp_path):
    """A suite then says of its measures in held-out wordings that these are missing."""
    file = tmp_path / "mine.toml"
    text = (
        'name = "mine"\n[lists]\nfirst = ["Ada", "Bo"]\nspice = ["mace", "dill"]\n'
        '[subject]\nname = "{first}"\n[relations.spice]\nobjects = "{spice}"\n'
        'statements = ["{subject} sells {object}.", "{object} is sold by {subject}.", HELD]\n'
        '[relations.origin]\nobjects = "{spice}"\nstatements = ["{subject} likes {object}."]\n'
    )
    first = '{text = "{object} is what {subject} offers.", held_out = true}'
    second = '{text = "{object}: the spice of {subject}.", held_out = true}'
    last = '{text = "The spice of {subject} is {object}.", held_out = true}'
    for held, said in ((first, ["spice"]), (f"{first}, {second}", ["spice"]), (last, []),
                       (f"{first}, {last}", [])):  # fmt: skip
        file.write_text(text.replace("HELD", held))
        ran = run("grammar", "check", file)
        assert ran.code == 0 and ran.err == ""
        line = "no held-out statement of spice can be a probe: the object stands before the subject"
        assert (line in ran.out.splitlines()) == bool(said)
        assert run("grammar", "check", file, "--json").json()["not_probed"] == said


def test_a_relation_that_no_sentence_can_ask_about_is_warned_of(run, tmp_path):
    file = tmp_path / "mine.toml"
    text = (
        'name = "mine"\n[lists]\nfirst = ["Ada", "Bo"]\nspice = ["mace", "dill"]\n'
        '[subject]\nname = "{first}"\n[relations.spice]\nobjects = "{spice}"\n'
        'statements = ["{Object} is sold by {subject}."]\nQUESTIONS'
    )
    for questions, said in (("", ["spice"]), ('questions = ["What does {subject} sell?"]', [])):
        file.write_text(text.replace("QUESTIONS", questions))
        ran = run("grammar", "check", file)
        assert ran.code == 0
        assert ("no sentence of spice can be a probe" in ran.err) == bool(said)
        assert run("grammar", "check", file, "--json").json()["never_probed"] == said


def test_stories_name_their_objects_first(run):
    found = run("grammar", "check", "stories-en", "--json").json()["not_probed"]
    assert found == ["birth_date", "university", "field", "employer"]
    assert run("grammar", "check", "bios-en", "--json").json()["not_probed"] == []


def test_show_writes_a_grammar_to_start_from(run, tmp_path):
    for name in GRAMMARS:
        ran = run("grammar", "show", name)
        assert ran.out == Grammar.named(name).source
        file = tmp_path / "own.toml"
        file.write_text(ran.out)
        assert run("grammar", "show", file, "--json").json() == {"name": name, "toml": ran.out}


def test_show_lists_what_there_is(run):
    rows = run("grammar", "show", "--json").json()["grammars"]
    assert [row["name"] for row in rows] == list(GRAMMARS)
    for row in rows:
        own = tomllib.loads(Grammar.named(row["name"]).source)
        assert row["about"] == own["about"] and row["relations"] == len(own["relations"])
    text = run("grammar", "show").out
    assert all(name in text for name in GRAMMARS)


def test_train_writes_a_tokenizer(run, tmp_path):
    out = tmp_path / "own"
    words = ("tokenizer", "train", "--grammar", "bios-en", "--vocabulary", 400, "--documents", 100)
    made = run(*words, "--out", out, "--json").json()
    assert made["vocabulary"] == 400 and made["out"] == str(out)
    few = (
        "tokenizer",
        "train",
        "--grammar",
        "bios-en",
        "--documents",
        1,
        "--out",
        tmp_path / "few",
    )
    assert run(*few, "--vocabulary", 9999).out.endswith("(not 9,999: the documents have no more)\n")
    config = json.loads((out / "tokenizer_config.json").read_text())
    assert config["eos_token"] == "<|endoftext|>"
    assert (
        "which is a tokenizer, allowed: a directory of its own"
        in run(*words, "--out", out).refused()
    )
    corpus = tmp_path / "corpus"
    gen = ("gen", "--grammar", "bios-en", "--tokenizer", out, "--subjects", 20, "--order", "bios")
    assert run(*gen, "--out", corpus, "--json").json()["vocabulary"] == 400
    looked = run("inspect", corpus)
    assert "bios-en, tokenizer BPE" in looked.out
    assert run("inspect", corpus, "--json").json()["grammar"] == "bios-en"


def test_encode_makes_a_background_of_text(run, tokenizer, tmp_path):
    lines = tmp_path / "pages.jsonl"
    lines.write_text('{"text": "A page."}\n{"text": "Another page of text."}\n')
    words = ("tokenizer", "encode", lines, "--tokenizer", tokenizer, "--out", tmp_path / "pages")
    made = run(*words, "--json").json()
    assert made["out"] == str(tmp_path / "pages")
    assert made["tokens"] == (tmp_path / "pages.bin").stat().st_size // 2
    assert "a name without" in run(*words).refused()
    gen = ("gen", "--grammar", "bios-en", "--tokenizer", tokenizer, "--subjects", 20)
    run(*gen, "--background", tmp_path / "pages", "--out", tmp_path / "corpus", "--json").json()
    corpus = Corpus.open(tmp_path / "corpus")
    texts = corpus.texts(0, corpus.num_documents)
    assert {"A page.", "Another page of text."} < set(texts)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("grammar", "chek"),
         "argument 'COMMAND': got chek (did you mean check?), allowed: check, show"),
        (("tokenizer", "trian"),
         "argument 'COMMAND': got trian (did you mean train?), allowed: train, encode"),
        (("grammar", "check"),
         "argument 'FILE|NAME': got nothing, allowed: a grammar file (TOML), or a name"),
        (("tokenizer", "train"), "argument '--out': got nothing, allowed: a directory to write"),
        (("tokenizer", "encode", "x", "--out", "y"),
         "argument '--tokenizer': got nothing, allowed: a directory with tokenizer.json"),
        (("tokenizer", "train", "--out", "x"),
         "argument '--grammar': got nothing, allowed: the name of a grammar, or a file"),
        (("tokenizer", "train", "--out", "x", "--grammar", "bios-en", "--vocabulary", "9"),
         "argument '--vocabulary': got 9, allowed: 259 to 1,000,000"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(run, words, said):
    assert run(*words).refused() == said


@pytest.mark.parametrize("words", [("grammar",), ("tokenizer",)])
def test_a_group_alone_shows_its_help(run, words):
    ran = run(*words)
    assert ran.code == 0 and "Commands:" in ran.out
