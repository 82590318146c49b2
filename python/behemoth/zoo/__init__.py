"""A turnkey set of models: worlds, runs with labelled exposures, their retrained twins, and plans.

It knows corpora, training, plans and recall, but not studies.
"""

from typing import TYPE_CHECKING

from behemoth.support.lazy import lazy

if TYPE_CHECKING:  # the same names again, for type checkers and editors
    from .make import ZooMade as ZooMade, make_zoo as make_zoo
    from .sizes import SIZES as SIZES, ZooSize as ZooSize
    from .zoo import Zoo as Zoo, read_zoo as read_zoo

__all__, __dir__, __getattr__ = lazy(
    __name__,
    {
        "make": "ZooMade make_zoo",
        "sizes": "SIZES ZooSize",
        "zoo": "Zoo read_zoo",
    },
)
