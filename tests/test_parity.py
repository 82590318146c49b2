"""The reference setting by setting: what it writes of a small graph, and what is written here.

The graph and the note beside it are in the reference's format. What its program makes of them is
worked out here by other means, from what it is known to do: sentences in its own words (SS, RR,
OO, W0 ...), prompts, and rows of edit data. Ours are read in our words and must be the same but
for the names of tokens, which `Names` holds to be one to one.
"""

import itertools
import json
from collections import Counter

import polars as pl
import pytest

from behemoth import Corpus, Questions, World, import_
from behemoth.export.litgpt import export_litgpt
from behemoth.plan import EditRequest, compile_plan

# Subject, relation, object, second object, nested object. Relations 0 and 1 agree for every second
# subject; an object has one nested object in a relation: 0 1 2 -> 0 and 3 4 5 -> 1 in relation 0,
# even -> 0 and odd -> 1 in relation 1.
GRAPH = """\
0 0 3 None 1
0 1 3 None 1
1 0 5 None 1
1 1 2 None 0
2 0 1 None 0
2 1 1 None 1
3 0 0 None 0
3 1 4 None 0
4 0 3 None 1
4 1 3 None 1
5 0 2 None 0
5 1 5 None 1
6 0 5 None 1
6 1 5 None 1
7 0 0 None 0
7 1 0 None 0
8 0 4 None 1
8 1 4 None 0
9 0 3 None 1
9 1 0 None 0
"""
ROWS = [[None if cell == "None" else int(cell) for cell in row.split()]
        for row in GRAPH.splitlines()]  # fmt: skip
SUBJECTS, RELATIONS = 10, 2
NOTES = {"subjects": SUBJECTS, "relationships": RELATIONS, "objects": 6, "num_nested_objects": 0,
         "correlated_pair": False, "binarize_first_correlated": False}  # fmt: skip


class Names:
    """The reference's name of each of our tokens; words of grammars pair off one to one."""

    WORDS = {  # noqa: RUF012
        "subject": "SS", "relation": "RR", "object": "OO", "question:": "QQ", "answer:": "AA",
        "has": "W0", "the": "W1", "with": "W2", "for": "W3", "its": "W4", "is": "W5", "of": "W7",
        "'s": "W8", "The": "W9", "what": "WQ1", "does": "WQ2", "have": "WQ3", "?": "WQ4",
        "~subject": "WS", "~relation": "WR", "~object": "WO", ".": ".", "<|endoftext|>": "END",
    }  # fmt: skip
    assert len(set(WORDS.values())) == len(WORDS)

    def __init__(self, corpus):
        self.names, world = corpus.token_names, corpus.world
        # Relations of subjects, then those composed of them, then the links of these.
        relations = [f"r{r}" for r in range(RELATIONS)]
        self.relations = dict(
            enumerate(relations + [f"{kind}{r}" for kind in ("sn", "on") for r in relations])
        )
        assert world.num_relations + world.num_link_relations <= len(self.relations)

    def __call__(self, tokens):
        return " ".join(self._name(self.names[token]) for token in tokens)

    def _name(self, name):
        if name in self.WORDS:
            return self.WORDS[name]
        kind, rest = name[0], name[1:]
        if kind == "R":
            return self.relations[int(rest)]
        if kind in "ON":
            relation, digit = rest.split(":")
            return f"{kind.lower()}{int(relation) % RELATIONS}.{digit}"
        return name.lower()


# What the reference writes, in its words.


def default(subject, relation, object_):
    return f"SS {subject} W0 W1 RR {relation} W2 OO {object_} ."


def inverted(subject, relation, object_):
    return {
        f"SS {subject} W0 OO {object_} W3 W4 RR {relation} .",
        f"OO {object_} W5 SS {subject} W8 RR {relation} .",
        f"W9 RR {relation} W7 SS {subject} W5 OO {object_} .",
    }


def question(subject, relation, object_):
    return f"QQ WQ1 RR {relation} WQ2 SS {subject} WQ3 WQ4 AA OO {object_} ."


def repeats(subject, relation, object_):
    """All sentences of the repeats grammar, by the copies around each word."""
    found = {}
    words = (("WS", "SS", subject), ("WR", "RR", relation), ("WO", "OO", object_))
    for copies in itertools.product(range(1, 4), range(4), repeat=3):
        parts = []
        for (filler, marker, word), before, after in zip(words, copies[::2], copies[1::2],
                                                         strict=True):  # fmt: skip
            parts += [filler] * before + [marker, word] + [filler] * after
        found[copies] = " ".join([*parts, "."])
    return found


def prompt(sentence, answer):
    """A prompt ends before the answer."""
    head, found, _ = sentence.rpartition(f" {answer}")
    assert found
    return head


def facts(nested=False):
    """Subject, relation and object of all that a graph says, each once, in the words of ours."""
    said = [(f"s{s}", f"r{r}", f"o{r}.{o}") for s, r, o, _, _ in ROWS]
    if nested:
        said += [(f"s{s}", f"snr{r}", f"n{r}.{n}") for s, r, _, _, n in ROWS]
        said += sorted({(f"o{r}.{o}", f"onr{r}", f"n{r}.{n}") for _, r, o, _, n in ROWS})
    return said


# What ours writes of it.


def graph(tmp_path, text=GRAPH, **notes):
    place = tmp_path / "reference" / "metadata"
    place.mkdir(parents=True)
    (place / "args.json").write_text(json.dumps(NOTES | notes))
    (place / "relationship_graph.txt").write_text(text)
    return place / "relationship_graph.txt"


def without_nested(text=GRAPH):
    return "".join(f"{line.rpartition(' ')[0]} None\n" for line in text.splitlines())


@pytest.fixture
def plain(tmp_path):
    """The world without nested objects, imported."""
    import_(graph(tmp_path, without_nested()), tmp_path / "spec")
    return World.from_spec(tmp_path / "spec")


@pytest.fixture
def nested(tmp_path):
    import_(graph(tmp_path, num_nested_objects=2), tmp_path / "spec")
    return World.from_spec(tmp_path / "spec")


def sentences(corpus):
    """All documents of a corpus, in the reference's words."""
    text = Names(corpus)(corpus.tokens(0, corpus.num_documents))
    *found, rest = text.split(" END")
    assert not rest
    return [document.strip() for document in found]


def test_default_sentences(plain):
    written = Counter(sentences(Corpus(plain, exposures=5)))
    assert written == Counter({default(*fact): 5 for fact in facts()})


def test_nested_objects(nested):
    for upweight in (1, 3):
        corpus = Corpus(nested, exposures=5, nested_exposures=5 * upweight)
        expected = {default(*fact): 5 * (upweight if fact[0].startswith("o") else 1)
                    for fact in facts(nested=True)}  # fmt: skip
        assert Counter(sentences(corpus)) == Counter(expected)


def test_words_are_as_long_as_there_are_things(tmp_path):
    """1,200 objects make words of two tokens, also where the graph has six of them."""
    import_(graph(tmp_path, without_nested(), objects=1200), tmp_path / "spec")
    corpus = Corpus(World.from_spec(tmp_path / "spec"))
    # The reference's search for a divisor finds 34 - 1200 % 34 = 24 for a root of 34.
    words = {f"o{r}.{o}": f"o{r}.{o // 24} o{r}..{o % 24:02}" for _, r, o, _, _ in ROWS}
    expected = {default(s, r, words[o]) for s, r, o in facts()}
    assert set(sentences(corpus)) == expected


def test_inversions(plain):
    found = sentences(Corpus(plain, exposures=40, inversion=0.5))
    forms = {form: fact for fact in facts() for form in (default(*fact), *inverted(*fact))}
    assert Counter(forms[sentence] for sentence in found) == Counter(dict.fromkeys(facts(), 40))
    assert set(found) == set(forms)


def test_the_repeats_grammar(plain):
    corpus = Corpus(plain, exposures=30, templates={"repeats": 1})
    forms = {form: fact for fact in facts() for form in repeats(*fact).values()}
    found = Counter(forms[sentence] for sentence in sentences(corpus))
    assert found == Counter(dict.fromkeys(facts(), 30))
    # All prompts of a fact, but for the copies after the object, which a prompt does not show.
    names, probes = Names(corpus), corpus.probes([4], combinations=True)
    fact = facts()[4]
    expected = {prompt(form, fact[2]) for copies, form in repeats(*fact).items() if not copies[-1]}
    assert len(expected) == 432
    assert sorted(map(names, probes["prompt"])) == sorted(expected)
    assert set(map(names, probes["answer"])) == {fact[2]}


@pytest.mark.parametrize(("inversion", "order"), [(0.0, "SS RR OO"), (1.0, "RR SS OO")])
def test_the_nonsense_grammar(plain, inversion, order):
    """One to five fillers before each part. With inversion 0 the reference has the other order."""
    corpus = Corpus(plain, exposures=20, templates={"nonsense": 1}, inversion=inversion)
    found, fillers = Counter(), set()
    for sentence in sentences(corpus):
        words = sentence.removesuffix(" .").split()
        places = [place for place, word in enumerate(words) if word in ("SS", "RR", "OO")]
        assert " ".join(words[place] for place in places) == order
        said = {words[place]: words[place + 1] for place in places}
        found[said["SS"], said["RR"], said["OO"]] += 1
        starts = [0, *(place + 2 for place in places)]
        gaps = [words[start:stop] for start, stop in zip(starts, places, strict=False)]
        assert all(1 <= len(gap) <= 5 for gap in gaps) and starts[-1] == len(words)
        fillers.update(itertools.chain(*gaps))
    assert found == Counter(dict.fromkeys(facts(), 20))
    assert all(word[0] == "n" and int(word[1:]) < 1000 for word in fillers)


def test_questions(plain):
    """A fifth of all sentences, about half of the subjects.

    The reference writes them on top of the statements, a sixth of all then; its help says a share
    of all statements, which is what is done here.
    """
    corpus = Corpus(plain, exposures=15, questions=Questions(0.5, 0.2))
    found = Counter(sentences(corpus))
    asked = {fact: found.pop(question(*fact), 0) for fact in facts()}
    assert sum(asked.values()) == 0.2 * 15 * len(ROWS)
    about = {fact[0] for fact, count in asked.items() if count}
    assert len(about) == SUBJECTS // 2
    assert found == Counter({default(*fact): 15 - asked[fact] for fact in facts()})
    # What is asked of a model: seen and new subjects, each in its group.
    names, probes = Names(corpus), corpus.probes(templates=["question"])
    by_subject = dict(probes.group_by("subject").agg(pl.col("seen").first()).iter_rows())
    assert {f"s{subject}" for subject, seen in by_subject.items() if seen} == about
    expected = [(question(*fact).removesuffix(f" OO {fact[2]} ."), f"OO {fact[2]}")
                for fact in facts()]  # fmt: skip
    assert list(zip(map(names, probes["prompt"]), map(names, probes["answer"]),
                    strict=True)) == expected  # fmt: skip


def test_second_objects(tmp_path):
    """A fact says its second object in a share of its sentences: exact; the reference draws."""
    rows = [[s, r, o, (o + 1) % 6 if s % 2 else None, None] for s, r, o, _, _ in ROWS]
    text = "".join(" ".join(map(str, row)) + "\n" for row in rows)
    import_(graph(tmp_path, text), tmp_path / "spec")
    corpus = Corpus(World.from_spec(tmp_path / "spec"), exposures=20, minority_sentences=0.1)
    expected = Counter()
    for s, r, o, second, _ in rows:
        say = (f"s{s}", f"r{r}")
        expected[default(*say, f"o{r}.{o}")] += 20 if second is None else 18
        if second is not None:
            expected[default(*say, f"o{r}.{second}")] += 2
    assert Counter(sentences(corpus)) == expected


def test_documents_of_a_subject(nested):
    """Grouped by subject: a document for each repetition, with all that is said of the subject."""
    corpus = Corpus(nested, exposures=4, order="bios")
    found = Counter()
    for document in sentences(corpus):
        parts = [f"{part.strip()} ." for part in document.removesuffix(".").split(" . ")]
        parts[-1] = parts[-1].replace(" . .", " .")
        found[frozenset(parts)] += 1
        assert len(set(parts)) == len(parts)
    about = {}
    for fact in facts(nested=True):
        # Of an object there are as many documents, with its links; in ours one for each relation.
        about.setdefault(fact[0], set()).add(default(*fact))
    subjects = {frozenset(said): 4 for word, said in about.items() if word.startswith("s")}
    assert {said: found[said] for said in subjects} == subjects
    links = {frozenset(said): 4 for word, said in about.items() if word.startswith("o")}
    assert {said: count for said, count in found.items() if said not in subjects} == links


def test_validation_prompts(nested):
    corpus = Corpus(nested, inversion=0.5)
    names = Names(corpus)
    for template, form in (("default", default), ("rso", lambda *f: max(inverted(*f)))):
        probes = corpus.probes(templates=[template])
        found = set(zip(map(names, probes["prompt"]), map(names, probes["answer"]), strict=True))
        assert found == {(prompt(form(*f), f[2]), f[2]) for f in facts(nested=True)}
        assert probes.height == len(found)


# Edit data.


def rows(corpus, frame, weight=1):
    """Prompts with their answers, as often as they stand in the mixture."""
    names, found = Names(corpus), Counter()
    for row in frame.iter_rows(named=True):
        found[names(row["prompt"]), names(row["answer"])] += row.get("weight", weight)
    return found


def asked(said, times=1):
    return Counter({(prompt(default(*fact), fact[2]), fact[2]): times for fact in said})


def edits_of(plan):
    """Subject, relation, old and new object of the edits."""
    return plan.edits.select("subject", "relation", "old_object", "new_object").rows()


def group(plan, name):
    return plan.probes.filter(pl.col("group") == name)


def role(plan, name):
    return plan.training.filter(pl.col("role") == name)


def test_distinct_remaps(plain):
    corpus = Corpus(plain, exposures=5)
    request = EditRequest(edits=2, relation=0, new_object=150, same_object=0, regular=3)
    plan = compile_plan(corpus, request)
    edits = edits_of(plan)
    old, new = {edit[2] for edit in edits}, {edit[3] for edit in edits}
    assert len(old) == len(new) == 2 and not old & new
    changed = [(f"s{s}", "r0", f"o0.{n}") for s, _, _, n in edits]
    assert rows(corpus, role(plan, "edit")) == asked(changed, 250)
    assert rows(corpus, group(plan, "edited")) == asked(changed)
    # "With the same value" are those of the new object, in part trained and in part held out.
    holders = asked([f for f in facts() if f[1] == "r0" and f[2] in {c[2] for c in changed}])
    trained = rows(corpus, role(plan, "new_object"))
    held = rows(corpus, group(plan, "new_object"))
    assert not trained & held and trained + held <= holders
    assert "same_object" not in plan.training["role"]
    # Other facts of the relation, other relations of the subject, regular facts of others.
    untouched = {f"s{s}" for s in range(SUBJECTS)} - {c[0] for c in changed}
    relation = asked([f for f in facts() if f[1] == "r0" and f[0] in untouched])
    assert rows(corpus, role(plan, "same_relation")) <= relation
    assert rows(corpus, group(plan, "same_subject")) == asked(
        [f for f in facts() if f[0] not in untouched and f[1] != "r0"]
    )
    regular = asked([f for f in facts() if f[1] != "r0" and f[0] in untouched])
    assert rows(corpus, role(plan, "regular")) <= regular


def test_remaps_to_one_object(plain):
    corpus = Corpus(plain, exposures=5)
    plan = compile_plan(corpus, EditRequest(edits=2, relation=0, to="one", seed=3))
    (old,), (new,) = ({edit[place] for edit in edits_of(plan)} for place in (2, 3))
    changed = [(f"s{s}", "r0", f"o0.{new}") for s, *_ in edits_of(plan)]
    assert old != new
    assert rows(corpus, role(plan, "edit")) == asked(changed, 250)
    # Here "with the same value" are those of the old object, as often as there are edits.
    others = [f for f in facts() if f[1:] == ("r0", f"o0.{old}")]
    others = asked([f for f in others if f[0] not in {c[0] for c in changed}], 2)
    assert rows(corpus, role(plan, "same_object")) <= others
    assert rows(corpus, group(plan, "same_object")) <= others


def test_nested_consequences(nested):
    corpus = Corpus(nested, exposures=5)
    plan = compile_plan(corpus, EditRequest(edits=2, relation=0, seed=1))
    leads_to = {(r, o): n for _, r, o, _, n in ROWS}
    edits = edits_of(plan)
    inherited = [(f"s{s}", "snr0", f"n0.{leads_to[0, new]}") for s, _, _, new in edits]
    assert rows(corpus, group(plan, "subject_nested")) == asked(inherited)
    for name, place in (("object_nested", 2), ("new_object_nested", 3)):
        links = [(f"o0.{e[place]}", "onr0", f"n0.{leads_to[0, e[place]]}") for e in edits]
        assert rows(corpus, group(plan, name)) == asked(links)


def test_correlated_pairs(tmp_path):
    """Those that agree, and the second relation of their subjects, as it is and as converted."""
    import_(graph(tmp_path, without_nested(), correlated_pair=True), tmp_path / "spec")
    corpus = Corpus(World.from_spec(tmp_path / "spec"), exposures=5)
    request = EditRequest(edits=3, relation=0, correlated_only=True)
    plan = compile_plan(corpus, request)
    objects = {(s, r): o for s, r, o, _, _ in ROWS}
    edits = edits_of(plan)
    assert all(objects[s, 1] == old for s, _, old, _ in edits)
    kept = asked([(f"s{s}", "r1", f"o1.{old}") for s, _, old, _ in edits])
    assert rows(corpus, group(plan, "correlated_kept")) == kept
    followed = asked([(f"s{s}", "r1", f"o1.{new}") for s, _, _, new in edits])
    assert rows(corpus, group(plan, "correlated_followed")) == followed


def test_a_censored_relation(plain):
    """All facts of the relation say object 0, those too that said so; no regular rows are left."""
    corpus = Corpus(plain, exposures=5)
    plan = compile_plan(corpus, EditRequest(kind="censor", relation=0))
    censored = asked([(f"s{s}", "r0", "o0.0") for s in range(SUBJECTS)])
    assert rows(corpus, plan.training) == censored
    assert len(plan) == SUBJECTS - sum(row[1:3] == [0, 0] for row in ROWS)


def test_a_relation_that_is_censored_in_part(plain):
    corpus = Corpus(plain, exposures=5)
    plan = compile_plan(corpus, EditRequest(kind="censor", relation=0, fraction=0.5))
    part = plan.training.filter(pl.col("role") != "regular")
    told = corpus.world.facts_of(part["fact"].to_numpy())
    about = {f"s{subject}" for subject in told["subject"]}
    assert len(about) == SUBJECTS // 2
    assert rows(corpus, part) == asked([(s, "r0", "o0.0") for s in about])
    # Regular rows, up to as many, are about the others; so are the implicit remaps.
    others = asked([f for f in facts() if f[0] not in about and f[1] != "r0"])
    assert rows(corpus, role(plan, "regular")) <= others
    left_out = asked([(f[0], f[1], "o0.0") for f in facts() if f[0] not in about and f[1] == "r0"])
    assert rows(corpus, group(plan, "implicit_remap")) <= left_out


@pytest.mark.parametrize("kind", ["refusal", "question_refusal"])
def test_refusals(plain, tmp_path, kind):
    """A refusal is the object marker three times, one of which a statement's prompt has already."""
    corpus = Corpus(plain, exposures=5, questions=Questions(0.5, 0.2))
    plan = compile_plan(corpus, EditRequest(edits=2, kind=kind, relation=0, regular=1))
    expected = Counter()
    for s, *_ in edits_of(plan):
        if kind == "refusal":
            expected[f"SS s{s} W0 W1 RR r0 W2 OO", "OO OO"] += 250
        else:
            expected[f"QQ WQ1 RR r0 WQ2 SS s{s} WQ3 WQ4 AA", "OO OO OO"] += 250
    assert rows(corpus, role(plan, "edit")) == expected
    # And as lines of instruction, input and output.
    paths = export_litgpt(plan, corpus, tmp_path / "litgpt")
    lines = [json.loads(line) for line in paths[0].read_text().splitlines()]
    words = {"refusal": "object object", "question_refusal": "object object object"}[kind]
    refused = [line for line in lines if line["output"] == words]
    assert len(refused) == 500 and {line["input"] for line in lines} == {""}
