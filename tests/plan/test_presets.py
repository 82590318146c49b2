"""Plans of the study presets, whose published results belong to exactly these edits and rows."""

from hashlib import blake2b

import pytest

from behemoth.plan import compile_plan
from behemoth.study.file.presets import preset_text
from behemoth.study.file.spec import Study

GOLDEN = {
    "correlated": "679c602d3a2bb95c3c019c37cab07f6b",
    "frequency": "457c6fddaa14ef3adb06f3cbc6c4636e",
    "leaderboard": "876f34e091beb532d353738af1bcd0c0",
    "metrics": "f9d792a96d7247fdd3ba8e5f15ec6603",
    "nested": "5f54682b261301b4c6e744e14dd33abb",
    "rank": "7ea0b56e459d94113ca708f649ad6df8",
    "unlearning": "8325bdac739e37f12d15a83aec71d500",
}


def _plans(preset):
    """Return the hashes of the plans of a preset's smallest size, except of rotated corpora."""
    expansion = Study.parse(preset_text(preset)).expand()
    units = {
        trial.plan.id: (expansion.models[trial.model], trial.plan.request)
        for trial in expansion.trials
        if trial.plan.chosen_in is None
    }
    return sorted(
        compile_plan(model.corpus.make(), request).plan_hash for model, request in units.values()
    )


@pytest.mark.parametrize(
    "preset",
    [
        pytest.param(name, marks=pytest.mark.slow) if name == "leaderboard" else name
        for name in GOLDEN
    ],
)
def test_plans_of_presets_stay_the_same(preset):
    plans = "".join(_plans(preset))
    assert blake2b(plans.encode(), digest_size=16).hexdigest() == GOLDEN[preset]
