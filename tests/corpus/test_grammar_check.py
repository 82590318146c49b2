"""Checks of a grammar by worlds and text of it."""

from behemoth import Grammar, check_grammar, train_tokenizer


def test_a_world_of_more_names_than_objects_of_a_one_to_one_relation_is_checked(tmp_path):
    """Its worlds have as many subjects as these objects at most."""
    text = """
    name = "sailors"
    language = "en"
    [lists]
    first = ["Ada", "Bruno", "Chloe", "Dev", "Esra"]
    port = ["Bergen", "Cadiz", "Osaka"]
    [subject]
    name = "{first}"
    [relations.port]
    name = "home port"
    kind = "one_to_one"
    objects = "{port}"
    statements = ["{subject} sails from {object}."]
    """
    grammar = Grammar("sailors.toml", text)
    assert [grammar.subjects_up_to(most) for most in (2, 1_000)] == [2, 3]
    train_tokenizer(grammar, tmp_path / "bpe", vocabulary=300, documents=10)
    found = check_grammar(grammar, tmp_path / "bpe", samples=9)
    assert found.names == 5 and len(found.samples) == 3 and found.documents > 0
    assert {text.split(" from ")[1] for text in found.samples} == {"Bergen.", "Cadiz.", "Osaka."}
