import pytest

pytest.importorskip("torch")

from behemoth.edit.protocol import settings_of
from behemoth.edit.registry import OWN_METHODS, method_names, method_type


def test_the_table_as_json(run):
    [rows] = run("methods", "--json").json().values()
    assert all(list(row) == ["name", "family", "source", "changes"] for row in rows)
    names = [row["name"] for row in rows]
    assert names == [name for name in method_names() if name in names]
    assert {"ft", "lora", "rome", "npo"} <= set(names)
    families = {row["family"] for row in rows}
    assert families <= {
        "fine-tuning", "locate-and-edit", "memory", "in-context", "meta-learning", "unlearning",
        "oracle",
    }  # fmt: skip
    lora = next(row for row in rows if row["name"] == "lora")
    assert lora["source"] == method_type("lora").info.source
    assert lora["changes"] == method_type("lora").info.changes
    memit = next(row for row in rows if row["name"] == "memit")
    assert memit["changes"].endswith(
        "; at the prompt's last token, last layer (published: the subject's last token, layers 13 "
        "to 17 of 48)"
    )
    ike = next(row for row in rows if row["name"] == "ike")
    assert "; before every prompt (published: before every prompt, with" in ike["changes"]


def test_the_table_for_people(run):
    ran = run("methods")
    assert ran.code == 0
    for word in ("name", "family", "lora", "locate-and-edit", "2106.09685"):
        assert word in ran.out


@pytest.mark.parametrize("name", OWN_METHODS)
def test_every_setting_of_a_method_is_explained(run, name):
    """With its default and its meaning, also where another class of the family explains it."""
    shown = run("methods", name, "--json").json()
    settings = {row["name"]: row["default"] for row in shown["settings"]}
    assert settings == settings_of(method_type(name)())
    assert all(row["meaning"].endswith(".") for row in shown["settings"])


def test_a_method_for_people(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")  # a meaning in one line
    ran = run("methods", "lora")
    assert ran.code == 0
    lines = [line.split(maxsplit=2) for line in ran.out.splitlines() if line]
    assert ["optimiser", "adam", "Adam, or plain gradient descent without momentum."] in lines
    assert ["learning_rate", "0.002"] in [line[:2] for line in lines]


def test_tuned_settings_are_beside_the_defaults(run):
    """Only for methods and settings that were tuned."""
    from behemoth.edit.settings import tuned_settings

    tuned = {world: tuned_settings("lora", world) for world in ("tokens", "text")}
    shown = run("methods", "lora", "--json").json()
    assert shown["tuned"] == {world: one.tuning.to_dict() for world, one in tuned.items()}
    rows = {row["name"]: row["tuned"] for row in shown["settings"]}
    assert rows["rank"] == {world: one.settings["rank"] for world, one in tuned.items()}
    assert rows["optimiser"] == {}
    ran = run("methods", "lora")
    rank = [str(one.settings["rank"]) for one in tuned.values()]
    assert ["rank", "4", *rank] in [line.split()[:4] for line in ran.out.splitlines()]
    assert f"tuned:text    {tuned['text'].tuning.objective} score " in ran.out
    assert "tuned" not in run("methods", "retrain").out
    assert run("methods", "retrain", "--json").json()["tuned"] == {}


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize("name", ["ft", "npo", "memit"])
def test_what_a_method_is_stands_in_two_columns(run, monkeypatch, name, width):
    """How its tuned settings were chosen included, and no line is wider than the terminal."""
    monkeypatch.setenv("COLUMNS", str(width))
    lines = run("methods", name).out.splitlines()
    assert max(map(len, lines)) <= width
    about = lines[: lines.index("")]
    column = about[0].index(name)
    assert {line[: column - 2].strip() for line in about} >= {"method", "source", "tuned:tokens"}
    for line in about:
        assert line[column - 2 : column] == "  " and line[column] != " ", line


def test_a_broken_method_of_another_package_does_not_take_the_others_away(run, monkeypatch):
    def missing(name):
        if name == "lora":
            raise ImportError("No module named 'elsewhere'", name="elsewhere")
        return method_type(name)

    monkeypatch.setattr("behemoth.edit.registry.method_type", missing)
    ran = run("methods", "--json")
    names = [row["name"] for row in ran.json()["methods"]]
    assert "ft" in names and "lora" not in names
    assert "method lora cannot be loaded: No module named 'elsewhere'" in ran.err


def test_without_torch_one_line_says_what_to_install(run, monkeypatch):
    def missing(name):
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr("behemoth.edit.registry.method_type", missing)
    message = run("methods").refused(1)
    assert message == "torch is not installed: in a clone of Behemoth, pip install '.[train]'"
