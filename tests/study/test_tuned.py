"""Settings that were tuned on a world of the study are reported when it is run."""

import polars as pl
import pytest

from behemoth import Corpus, World
from behemoth.study.file import spec
from behemoth.study.file.spec import Study, read_study
from behemoth.study.tuned import tuned_here, tuned_text
from behemoth.study.work import run as work
from behemoth.study.work.estimate import estimate
from behemoth.train.run import world_id, world_seed

TEXT = """
name = "tiny"
[world]
subjects = 20
relations = 2
objects = 5
[corpus]
exposures = "latin:1,8"
[train]
steps = 5
[plan]
independent = true
edits = 2
[[method]]
name = "lora"
settings = "best.toml"
[[method]]
name = "ft"
[grid]
"world.seed" = [0, 1]
"""
BEST = """name = "lora"
[tuning]
objective = "editing"
trials = 3
seconds = 1.5
rows = 32
score = 0.9
default_score = 0.8
"""


@pytest.fixture
def written(tmp_path):
    """A study whose method was tuned on a world of some seed, at other exposures."""

    def written(seed, subjects=20):
        other = TEXT[: TEXT.index("[[method]]")].replace("latin:1,8", "2") + '[[method]]\nname="ft"'
        other = other.replace("[world]", f"[world]\nseed = {seed}")
        other = other.replace("subjects = 20", f"subjects = {subjects}")
        [model] = Study.parse(other).expand().models.values()
        corpus = model.corpus.make()
        text = f'{BEST}world_id = "{world_id(corpus)}"\nworld_seed = {world_seed(corpus)}\n'
        (tmp_path / "best.toml").write_text(text)
        (tmp_path / "study.toml").write_text(TEXT)
        return tmp_path / "study.toml"

    return written


@pytest.mark.parametrize(("seed", "labels"), [(0, ["lora"]), (1, ["lora"]), (2, [])])
def test_equal_worlds_are_recognised_at_other_exposures(seed, labels, written):
    file = written(seed)
    assert tuned_here(Study.parse(TEXT, file.parent).expand()) == labels


@pytest.mark.parametrize(("seed", "labels"), [(0, ["lora"]), (2, [])])
def test_worlds_of_one_seed_are_recognised_at_other_sizes(seed, labels, written):
    """The smaller world is a part of the larger."""
    file = written(seed, subjects=40)
    assert tuned_here(Study.parse(TEXT, file.parent).expand()) == labels
    # Tunings of earlier versions name no seed.
    best = file.parent / "best.toml"
    best.write_text("".join(line for line in best.read_text().splitlines(keepends=True)
                            if not line.startswith("world_seed")))  # fmt: skip
    assert tuned_here(Study.parse(TEXT, file.parent).expand()) == []


def test_tables_have_no_seed_that_tells_of_their_facts():
    fact = {"subject": ["a"], "relation": ["r"], "object": ["b"]}
    assert world_seed(Corpus(World.from_table(pl.DataFrame(fact)), exposures=1)) is None


def test_a_tuning_that_names_no_world_is_not_recognised(written):
    file = written(0)
    (file.parent / "best.toml").write_text(BEST)
    assert tuned_here(Study.parse(TEXT, file.parent).expand()) == []


@pytest.mark.parametrize(("seed", "labels"), [(0, ["lora"]), (2, [])])
def test_an_estimate_reports_it_and_the_command_says_it(seed, labels, written, run):
    file = written(seed)
    assert estimate(read_study(file)).tuned_here == labels
    done = run("study", "run", file, "--dry-run")
    assert done.code == 0
    said = "tuned on a world of this study, or on one of the same seed: lora;"
    assert (said in " ".join(done.err.split())) == bool(labels)


@pytest.mark.parametrize(("seed", "labels"), [(0, ["lora"]), (2, [])])
def test_a_run_says_it_before_the_first_unit_and_expands_the_study_once(
    seed, labels, written, tmp_path, monkeypatch, caplog
):
    study, expand, said = read_study(written(seed)), spec.expand, []

    def expanded(*given):
        said.append("expanded")
        return expand(*given)

    class Stopping:
        """An engine that does nothing."""

        slots = 1

        def __init__(self, *_):
            said.extend(record.getMessage() for record in caplog.records)

        def submit(self, slot, unit):
            raise KeyboardInterrupt

        def close(self):
            pass

    monkeypatch.setattr(spec, "expand", expanded)
    monkeypatch.setattr(work, "_engine", Stopping)
    with pytest.raises(KeyboardInterrupt):
        work.run_study(study, tmp_path / "out")
    assert said == ["expanded", *(f"{tuned_text([label])}" for label in labels)]
