"""Studies: a grid of trials, run, resumed and read as frames.

It knows every part of a trial, from worlds to suites, and analyses the results, but does not draw
them.
"""

from typing import TYPE_CHECKING

from behemoth.support.lazy import lazy

if TYPE_CHECKING:  # the same names again, for type checkers and editors
    from .file.measurement import Measurement as Measurement
    from .file.presets import preset_names as preset_names, preset_text as preset_text
    from .file.spec import Study as Study, read_study as read_study
    from .results import Results as Results
    from .work.add import add_model as add_model
    from .work.merge import Merged as Merged, merge_studies as merge_studies
    from .work.run import StudyResult as StudyResult, run_study as run_study, study as study

__all__, __dir__, __getattr__ = lazy(
    __name__,
    {
        "file.presets": "preset_names preset_text",
        "results": "Results",
        "work.add": "add_model",
        "work.merge": "Merged merge_studies",
        "work.run": "StudyResult run_study study",
        "file.measurement": "Measurement",
        "file.spec": "Study read_study",
    },
    verb="study",
)
