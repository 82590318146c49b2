"""Studies: a grid of trials, run, resumed and read as frames."""

from typing import TYPE_CHECKING

from behemoth.lazy import lazy

if TYPE_CHECKING:  # the same names again, for type checkers and editors
    from .presets import preset_names as preset_names, preset_text as preset_text
    from .results import Results as Results
    from .run import run_study as run_study
    from .spec import Measure as Measure, Study as Study, read_study as read_study

__all__, __dir__, __getattr__ = lazy(
    __name__,
    {
        "presets": "preset_names preset_text",
        "results": "Results",
        "run": "run_study",
        "spec": "Measure Study read_study",
    },
)
