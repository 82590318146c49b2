import polars as pl
import pytest

from behemoth.corpus.templates import FORMS, TEMPLATES, is_of


def test_what_is_known_of_templates_is_what_their_sentences_show(rich_corpus):
    """Facts of templates, held to the tokens of probes instead of to their names."""
    markers = {name: id_ for id_, name in enumerate(rich_corpus.token_names[:16])}
    seen = set()
    for row in rich_corpus.templates:
        facts = TEMPLATES[row["name"]]
        assert row["probe"] == (facts.asks == "object")
        assert {key: row[key] for key in ("family", "asks", "is_question", "filler_follows")} == {
            key: getattr(facts, key) for key in ("family", "asks", "is_question", "filler_follows")
        }
        if row["probe"]:
            probe = rich_corpus.probes([0], [row["name"]]).row(0, named=True)
            assert (markers["question:"] in probe["prompt"]) == facts.is_question
            seen.add(row["name"])
    assert {"default", "question"} <= seen


@pytest.mark.parametrize(
    ("fact", "names"),
    [("is_question", {"question", "question_refusal"}), ("filler_follows", {"repeats"})],
)
def test_facts_of_columns(fact, names):
    column = pl.Series(list(TEMPLATES))
    assert set(column.filter(is_of(column, fact))) == names


def test_only_sentences_of_templates_end_in_the_token_of_a_period(rich_corpus):
    column = pl.Series(list(FORMS))
    assert set(column.filter(is_of(column, "ends_in_period"))) == set(TEMPLATES)
    period = rich_corpus.token_names.index(".")
    assert {tuple(rest) for rest in rich_corpus.probes([0])["rest"].to_list()} == {(period,)}
