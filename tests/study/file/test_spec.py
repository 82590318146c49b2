import re

import polars as pl
import pytest

from behemoth import ArgumentError
from behemoth.study.file.spec import Study, read_study
from behemoth.study.trial.laboratory import compile_unit
from behemoth.support.toml import read_toml


def changed(text, old, new):
    assert old in text
    return text.replace(old, new)


def test_a_study_is_made_of_the_tables_of_its_file(tiny):
    made = Study.from_dict(read_toml(tiny))
    assert made.expand() == Study.parse(tiny).expand()
    # Its own file says the same, and can be narrowed.
    assert Study.parse(made.text).expand() == made.expand()
    assert {choice.name for choice in made.with_methods(["lora"]).methods} == {"lora"}
    with pytest.raises(ArgumentError, match=r"'name': got .*, allowed: letters, digits"):
        Study.from_dict({})


def test_models_and_plans_are_shared(tiny):
    study = Study.parse(tiny)
    found = study.expand()
    assert [method.label for method in study.methods] == [
        "LoRA, rank 1", "LoRA, rank 4", "ascent", "batch",
    ]  # fmt: skip
    assert (study.primary.measure, study.primary.method) == ("ed50", "LoRA, rank 1")
    assert (len(found.models), len(found.plans), len(found.trials)) == (2, 4, 8)
    assert {trial.rotation for trial in found.trials} == {0, 1}
    assert repr(found) == "Expansion(2 models, 8 trials)"
    table = found.table()
    assert table["trial"].to_list() == [trial.id for trial in found.trials]
    assert table.select(pl.all().exclude("twin").null_count().sum()).sum_horizontal().item() == 0
    assert (table["model"].n_unique(), table["plan"].n_unique()) == (2, 4)
    assert [trial.choice.name for trial in found.trials[:4]] == [
        "lora",
        "lora",
        "grad_ascent",
        "ft",
    ]


def test_a_board_has_no_contrasts_wherever_its_suite_stands(tiny):
    assert Study.parse(tiny).contrasts
    suite = 'measure = { suite = "editing" }'
    of_method = tiny.replace(
        "plan = { independent = false", f"{suite}\nplan = {{ independent = false"
    )
    for text in (of_method, tiny.replace("[grid]", '[grid]\n"measure.suite" = ["editing"]')):
        assert not Study.parse(text).contrasts
        assert Study.parse(f'{text}\n[primary]\nmeasure = "success"\n').contrasts


def test_edits_of_twins_are_chosen_in_the_first_world(tiny):
    plans = {trial.rotation: trial.plan for trial in Study.parse(tiny).expand().trials}
    assert plans[0].chosen_in is None
    assert plans[1].chosen_in.corpus["exposures"] == "latin:1,8"


@pytest.mark.parametrize("share", ["fraction = 1.0\n", ""])
def test_the_twin_of_a_rule_lacks_the_facts_that_are_edited_in_its_own_corpus(share):
    """A rule leaves out facts that are never written, which are others after a rotation."""
    found = Study.parse(RULE.replace("fraction = 1.0\n", share)).expand()
    for trial in found.trials:
        edits = compile_unit(trial.plan, found.models[trial.model].corpus.make()).edits
        replaced = found.models[trial.twin].corpus.replaced
        assert sorted(edits["fact"]) == sorted(fact for fact, _ in replaced)


RULE = """
name = "rule"
[world]
subjects = 30
relations = 3
objects = 5
[corpus]
exposures = "latin:0,2,4"
[train]
model = "pico"
steps = 2
[plan]
kind = "refusal"
relation = 0
fraction = 1.0
repeats = 2
[[method]]
name = "npo"
[measure]
suite = "unlearning"
twin = true
[grid]
"corpus.rotation" = [0, 1]
"""


@pytest.mark.parametrize("own", ["exposures = [2]", "independent = true"])
def test_a_rule_of_no_number_is_one_of_all_facts(own):
    name = own.split()[0]
    with pytest.raises(ArgumentError, match=rf"'plan.{name}': got .*, allowed: only with edits"):
        Study.parse(RULE.replace("fraction = 1.0", own))


def test_a_whole_turn_is_the_same_trial(tiny):
    found = Study.parse(changed(tiny, "[0, 1]", "[0, 1, 2]")).expand()
    assert (len(found.models), len(found.trials)) == (2, 8)


def test_names_and_labels_are_in_no_hash(tiny):
    text = changed(tiny, 'label = "ascent"', 'label = "other"').replace("Does it", "Will it")
    text = changed(text, 'name = "tiny"', 'name = "teeny"')
    ids = [[trial.id for trial in Study.parse(t).expand().trials] for t in (tiny, text)]
    assert ids[0] == ids[1]


@pytest.mark.parametrize(
    ("old", "new", "models", "plans", "trials"),
    [
        ("subjects = 20", "subjects = 21", 0, 0, 0),
        ("steps = 5", "steps = 6", 0, 4, 0),
        ("block_length = 32", "block_length = 32\nseed = 1", 0, 4, 0),
        ("block_length = 32", "block_length = 32\nlog_interval = 3", 2, 4, 8),
        ("probes = 2", "probes = 3", 2, 0, 0),
        ("settings = { steps = 3 }", "settings = { steps = 4 }", 2, 4, 4),
        ("[grid]", "[measure]\nedit_seed = 1\n[grid]", 2, 4, 0),
    ],
)
def test_what_is_in_which_hash(tiny, old, new, models, plans, trials):
    """How many ids a change leaves as they were."""
    first, second = (Study.parse(text).expand() for text in (tiny, changed(tiny, old, new)))
    assert len(first.models.keys() & second.models.keys()) == models
    assert len(first.plans & second.plans) == plans
    ids = [{trial.id for trial in found.trials} for found in (first, second)]
    assert len(ids[0] & ids[1]) == trials


def test_threads_are_in_the_models_hash(tiny):
    study = Study.parse(tiny)
    assert not study.expand(1).models.keys() & study.expand(2).models.keys()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[world]", "[wrld]", "argument 'wrld': got an unknown key.*did you mean world"),
        ('name = "tiny"', 'name = "a b"', "argument 'name': got a b"),
        ("subjects = 20", "subjects = -1", "argument 'world.subjects': got -1"),
        ("subjects = 20", "subject = 20", "argument 'world.subject': got"),
        ('"latin:1,8"', '"latin:x"', "argument 'corpus.exposures': got 'latin:x'"),
        ("steps = 5", "stps = 5", "argument 'train.stps': got an unknown key.*steps"),
        ('model = "nano"', 'size = "nano"', r"'train.size': got an .*\(did you mean model\?\)"),
        ("[grid]", "[grid]\n'train.size' = ['pico']", r"'train.size': got an .*did you mean model"),
        ('model = "nano"', 'model = "nan"', "argument 'train.model': got nan.*did you mean nano"),
        ("steps = 5", "threads = 2", "'train.threads': got 2, allowed: none in a study, but --th"),
        ("[grid]", "[grid]\n'train.threads' = [2]", "'train.threads': got 2, allowed: none in a"),
        ("edits = 2", "edits = 0", "argument 'plan.edits': got 0, allowed"),
        ("edits = 2", "", "argument 'plan.edits': got nothing, allowed: the number"),
        (
            "exposures = [1, 8]",
            "exposures = [8, 63]",
            "argument 'plan.exposures': got 63, allowed: levels of the corpus: 1, 8$",
        ),
        (
            "edits = 2\nexposures = [1, 8]",
            "edits = 4000",
            "argument 'plan.edits': got 4000, allowed: up to 40, the facts that the corpus states",
        ),
        (
            "edits = 2\nexposures",
            "edits = 21\nexposures",
            "argument 'plan.edits': got 21, allowed: up to 20, the facts of 1 exposures",
        ),
        ("probes = 2", "prbes = 2", "argument 'plan.prbes': got an unknown key"),
        # What a plan needs of its corpus is checked before any model is trained.
        ("probes = 2", "relation = 9", "'plan.relation': got 9, allowed: 0, 1 .target 'subject'"),
        ("probes = 2", "target = 'object_nested'", "argument 'plan.target': got object_nested, al"),
        ("probes = 2", "wordings = 2", "argument 'plan.wordings': got 2, allowed: up to 1"),
        ("probes = 2", "edit_sentences = 1", "'plan.edit_sentences': got 1, allowed: only with a"),
        ("probes = 2", "correlated_only = true", "argument 'plan.correlated_only': got True, allo"),
        ("probes = 2", 'kind = "question_refusal"', "argument 'plan.kind': got 'question_r"),
        (
            '"lora"',
            '"lorra"',
            r"argument 'method\[0\].name': got lorra .*mean lora",
        ),
        (
            "rank = [1, 4]",
            "rnk = [1]",
            r"argument 'method\[0\].grid.rnk': got an unknown setting of lora.*mean rank",
        ),
        ("rank = [1, 4]", "rank = [0]", r"argument 'method\[0\].grid.rank': got 0"),
        ("rank = [1, 4]", "rank = 1", r"argument 'method\[0\].grid.rank': got 1"),
        ('label = "ascent"', 'lable = "a"', r"argument 'method\[1\].lable': got .*mean label"),
        ('label = "batch"', 'label = "ascent"', r"argument 'method\[2\].label': got ascent"),
        ("[grid]", "[primary]\nmethod = 'x'\n[grid]", "argument 'primary.method': got x"),
        ("[grid]", "[primary]\nmeasure = 'x'\n[grid]", "argument 'primary.measure': got x"),
        ("[grid]", "[measure]\ndurability = -1\n[grid]", "argument 'measure.durability': got -1"),
        ("[grid]", "[measure]\ngeometri = 1\n[grid]", "argument 'measure.geometri'.*geometry"),
        ("[0, 1]", "0", "argument 'grid.corpus.rotation': got 0, allowed: a list"),
        ("[0, 1]", '["x"]', "argument 'corpus.rotation': got x"),
        ("[world]", "[world", r"'source': got a text \(line \d+, .*\), allowed: valid TOML"),
    ],
)
def test_what_is_refused(tiny, old, new, message):
    with pytest.raises(ArgumentError, match=message) as caught:
        Study.parse(changed(tiny, old, new))
    assert re.match(r"argument '[^']+': got ", str(caught.value))


def test_the_same_trial_under_two_labels_is_refused(tiny):
    text = changed(tiny, "rank = [1, 4]", "rank = [4]") + '\n[[method]]\nname = "lora"\n'
    text = text.replace('[grid]\n"corpus.rotation" = [0, 1]', "") + "settings = { steps = 3 }\n"
    with pytest.raises(ArgumentError, match="argument 'method': got lora, steps 3, allowed: one"):
        Study.parse(text)


def test_a_file_that_is_none(tmp_path):
    with pytest.raises(ArgumentError, match=r"argument 'source': got .*, allowed: a study file"):
        read_study(tmp_path / "none.toml")


def test_ids_stay(tiny):
    """Studies on disk are known by these: an id that moves does all of their work again."""
    latest = Study.parse(tiny).expand()
    assert list(latest.models) == ["61ae6a6a6da0ffbf", "d171959c22eb2ab9"]
    assert latest.trials[0].id == "aa1b73ad211272af"
    second = Study.parse(f"format_version = 2\n{tiny}").expand()
    assert list(second.models) == ["0efe7d4465c48674", "87f672d6a7babc1f"]
    assert second.trials[0].id == "047fa8f48c06ef3f"
    tiny = f"format_version = 1\n{tiny}"
    found = Study.parse(tiny).expand()
    assert list(found.models) == ["1c4aa98a01d62547", "d87e70bf97c5f49a"]
    assert [trial.plan.id for trial in found.trials] == [
        *3 * ["115c7f2ec6bb354e"], "70a97a7b1c97740c",
        *3 * ["5054040d1edb33db"], "ea118c747092a4f3",
    ]  # fmt: skip
    assert [trial.id for trial in found.trials] == [
        "4fe49ccebdf016dd", "6c6907a27e0ea949", "f0ef772657045051", "0bad77818fae6ab6",
        "d15c027b83cc6aad", "05cf0ec8b14e7826", "5ceb2a05c9d3b990", "b163435af9ed3f10",
    ]  # fmt: skip
    measure = "[measure]\ndurability = 3\ndurability_rate = 0.5\ndeltas = true\nedit_seed = 2\n"
    found = Study.parse(changed(tiny, "[grid]", f"{measure}[grid]")).expand()
    assert [trial.id for trial in found.trials] == [
        "6e2cc7357e71619b", "e26c93ea15d6ac5c", "d25188aea2786d1c", "c3b20105814c773a",
        "bd2bdd189586d1bf", "d286554a955cb8f8", "6711eae1789be032", "87974978106554ff",
    ]  # fmt: skip


def test_methods_may_be_kept_to_some_points(tiny):
    text = changed(
        tiny, 'label = "ascent"', 'label = "ascent"\nwhere = { "corpus.rotation" = [0] }'
    )
    found = Study.parse(text).expand().trials
    assert [trial.rotation for trial in found if trial.choice.label == "ascent"] == [0]
    assert len(found) == len(Study.parse(tiny).expand().trials) - 1
    # What the point does not say, the section does, and else it is 0.
    said = {
        "world.subjects": "20",
        "corpus.swap": "0",
        "train.seed": "0",
    }
    for name, value in said.items():
        where = f'"{name}" = [{value}]'
        text = changed(tiny, 'label = "ascent"', f'label = "ascent"\nwhere = {{ {where} }}')
        found = Study.parse(text).expand().trials
        assert sum(trial.choice.label == "ascent" for trial in found) == 2
    for where, allowed in (
        ('"world.seed" = [3]', "values of some point of the grid"),
        ('"wrold.seed" = [0]', "world, corpus"),
        ('"world.sed" = [0]', r"\(did you mean world.seed\?\).*world.subjects"),
        ('"train.batch_size.x" = [0]', "train.batch_size"),
    ):
        with pytest.raises(ArgumentError, match=f"where'.*{allowed}"):
            Study.parse(changed(tiny, 'label = "ascent"', f'label = "a"\nwhere = {{ {where} }}'))
    with pytest.raises(
        ArgumentError, match=r"argument 'method\[1\].where.*': got 0, allowed: a list"
    ):
        Study.parse(changed(tiny, 'label = "ascent"', 'label = "a"\nwhere = { "world.seed" = 0 }'))


def test_costs_are_counted_in_the_first_world_and_initialisation_of_each_method(tiny):
    text = changed(tiny, "[grid]", '[grid]\n"world.seed" = [0, 1]\n"train.seed" = [0, 1]')
    last = changed(text, 'label = "ascent"', 'label = "ascent"\nwhere = { "world.seed" = [1] }')
    expansion = Study.parse(last).expand(1)
    models, counted = expansion.models, {}
    for trial in expansion.trials:
        if trial.counted:
            seeds = (
                models[trial.model].corpus.world.get("seed", 0),
                models[trial.model].config.seed,
            )
            counted.setdefault(trial.choice.label, set()).add(seeds)
    assert counted.pop("ascent") == {(1, 0)}
    assert counted and set(map(tuple, counted.values())) == {((0, 0),)}
    assert not all(trial.counted for trial in expansion.trials)


def test_costs_are_counted_at_each_other_value_of_the_grid_though_every_point_has_its_seed(tiny):
    """A small board has one world of each kind, with seeds of its own."""
    head = tiny[: tiny.index("[grid]")]
    kinds = ("seed = [0, 1]", "4"), ("seed = [2]", "5")
    grid = "".join(f"[[grid]]\nworld.{s}\nworld.relations = [{n}]\n" for s, n in kinds)
    expansion = Study.parse(head + grid).expand(1)
    for choice in Study.parse(head).methods:
        own = [trial for trial in expansion.trials if trial.choice.label == choice.label]
        assert [trial.counted for trial in own] == [True, False, True]


def test_a_world_may_be_a_table_that_lies_beside_the_study(tiny, tmp_path):
    for name, last in (("a", "tea"), ("b", "rum")):
        rows = [f"p{i},likes,{last if i % 2 else 'milk'}" for i in range(20)]
        rows += [f"p{i},knows,p{(i + 1) % 20}" for i in range(20)]
        (tmp_path / f"{name}.csv").write_text("subject,relation,object\n" + "\n".join(rows))
    text = changed(tiny, "subjects = 20\nrelations = 2\nobjects = 5", "")
    text = changed(text, "[grid]", '[grid]\n"world.table" = ["a.csv", "b.csv"]')
    (tmp_path / "study.toml").write_text(text)
    found = read_study(tmp_path / "study.toml").expand()
    assert len(found.models) == 4  # two tables, two rotations
    words = [unit.corpus.make().token_names for unit in found.models.values()]
    assert {"tea" in own for own in words} == {True, False}
    missing = r"argument 'world.table': got .*c.csv, which does not exist, allowed: a rel"
    with pytest.raises(ArgumentError, match=missing):
        Study.parse(text.replace("b.csv", "c.csv"), tmp_path).expand()
