"""A study that takes seconds."""

import pytest

from behemoth.study.file.spec import Study

TINY = """
name = "tiny"
question = "Does it run?"
[world]
subjects = 20
relations = 2
objects = 5
[corpus]
exposures = "latin:1,8"
[train]
model = "nano"
steps = 5
block_length = 32
batch_size = 4
[plan]
independent = true
edits = 2
exposures = [1, 8]
repeats = 2
same_object = 2
same_relation = 2
regular = 2
probes = 2
[[method]]
name = "lora"
label = "LoRA"
settings = { steps = 3 }
grid = { rank = [1, 4] }
[[method]]
name = "grad_ascent"
label = "ascent"
settings = { steps = 2 }
[[method]]
name = "ft"
label = "batch"
settings = { steps = 2 }
plan = { independent = false, distinct = false }
[grid]
"corpus.rotation" = [0, 1]
"""


@pytest.fixture(scope="session")
def tiny():
    """The TOML of a study of two models and eight trials."""
    return TINY


@pytest.fixture(scope="session")
def in_process(in_process_engine):
    """Run a study in this process: in_process(study, out) -> (result, engine)."""
    from behemoth.study.work import run

    def in_process(study, out, stop_after=None, **options):
        engines = []

        def make(name, path, *others):
            engines.append(in_process_engine(path, stop_after))
            return engines[-1]

        study = Study.parse(study) if isinstance(study, str) else study
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(run, "_engine", make)
            try:
                result = run.run_study(study, out, **options)
            except KeyboardInterrupt:
                result = None
        return result, engines[0] if engines else None

    return in_process


@pytest.fixture(scope="session")
def finished(tiny, in_process, tmp_path_factory):
    """The tiny study, run: (directory, result, engine). Do not write into it."""
    out = tmp_path_factory.mktemp("study") / "tiny"
    text = tiny.replace("[grid]", "[measure]\ndurability = 3\n[grid]")
    return out, *in_process(text, out)
