"""What a model knows, what an edit did to it, and how that is summed up.

The functions share their names with modules, so they are imported here at once: of two things of
one name the function is the one that stays.
"""

from behemoth.extras import needed

with needed():
    from .aggregate import aggregate as aggregate
    from .dose import doses as doses, ed50 as ed50
    from .frame import evaluate as evaluate, evaluate_model as evaluate_model
    from .generate import generate as generate
    from .geometry import geometry as geometry
    from .linear_probes import probe_objects as probe_objects
    from .membership import membership as membership, privacy as privacy
    from .metrics import METRICS as METRICS
    from .quantisation import evaluate_quantised as evaluate_quantised, quantise as quantise
    from .recall import recall as recall, recall_by_group as recall_by_group
    from .relearning import relearn as relearn
    from .run import Run as Run, read_run as read_run
    from .unlearning import forget_quality as forget_quality
