import pytest

from behemoth.study.file.spec import Study
from behemoth.study.work.estimate import estimate
from behemoth.support.errors import ArgumentError


def test_estimates(tiny, finished):
    study = Study.parse(tiny)
    found = estimate(study, workers=2)
    assert (found.models, found.plans, found.trials, found.workers) == (2, 4, 8, 2)
    assert found.tokens == 2 * 5 * 4 * 32
    assert found.edits == 8 * 4 and found.steps == 2 * 4 * (3 + 3 + 2 + 2)
    assert found.labels["ascent"] == 2 and found.seconds > 0
    whole = Study.parse((finished[0] / "study.toml").read_text())
    again = estimate(whole, finished[0])
    assert (again.models_done, again.trials_done, again.tokens, again.edits) == (2, 8, 0, 0)


def test_layers_that_no_model_has_are_refused_before_a_study_begins(tiny):
    text = tiny.replace("rank = [1, 4]", "layers = [[0], [0, 3]]")
    refusal = r"'method.layers': got 3 of 'LoRA, layers \[0, 3\]', allowed: -3 to 2, the layers of"
    with pytest.raises(ArgumentError, match=refusal):
        estimate(Study.parse(text))
    Study.parse(text).expand()  # what was made of it before can be read
    larger = text.replace("[grid]", '[grid]\n"train.model" = ["nano", "micro"]')
    assert estimate(Study.parse(larger)).models == 4
