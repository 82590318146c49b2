"""What an edit did to a model, against exact ground truth, and how that is summed up.

The functions share their names with modules, so they are imported here at once: of two things of
one name the function is the one that stays.
"""

from behemoth.support.extras import needed

with needed():
    from .aggregate import aggregate as aggregate
    from .dose import doses as doses, ed50 as ed50
    from .frame import evaluate as evaluate, evaluate_model as evaluate_model
    from .geometry import geometry as geometry
    from .linear_probes import probe_objects as probe_objects
    from .membership import membership as membership, privacy as privacy
    from .metrics import METRICS as METRICS
    from .quantisation import evaluate_quantised as evaluate_quantised, quantise as quantise
    from .relearning import relearn as relearn
    from .unlearning import forget_quality as forget_quality
