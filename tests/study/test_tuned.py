"""Settings that were tuned on a world of the study are reported when it is run."""

import pytest

from behemoth.study.file.spec import Study
from behemoth.study.tuned import tuned_here
from behemoth.train.run import world_id

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

    def written(seed):
        other = TEXT[: TEXT.index("[[method]]")].replace("latin:1,8", "2") + '[[method]]\nname="ft"'
        other = other.replace("[world]", f"[world]\nseed = {seed}")
        [model] = Study.parse(other).expand().models.values()
        text = f'{BEST}world_id = "{world_id(model.corpus.make())}"\n'
        (tmp_path / "best.toml").write_text(text)
        (tmp_path / "study.toml").write_text(TEXT)
        return tmp_path / "study.toml"

    return written


@pytest.mark.parametrize(("seed", "labels"), [(0, ["lora"]), (1, ["lora"]), (2, [])])
def test_equal_worlds_are_recognised_at_other_exposures(seed, labels, written):
    file = written(seed)
    assert tuned_here(Study.parse(TEXT, file.parent)) == labels


def test_a_tuning_that_names_no_world_is_not_recognised(written):
    file = written(0)
    (file.parent / "best.toml").write_text(BEST)
    assert tuned_here(Study.parse(TEXT, file.parent)) == []


@pytest.mark.parametrize(("seed", "warned"), [(0, True), (2, False)])
def test_study_run_warns(seed, warned, written, run):
    done = run("study", "run", written(seed), "--dry-run")
    assert done.code == 0
    assert ("tuned on a world of this study: lora;" in " ".join(done.err.split())) == warned
