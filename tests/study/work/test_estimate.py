from behemoth.study.file.spec import Study
from behemoth.study.work.estimate import estimate


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
