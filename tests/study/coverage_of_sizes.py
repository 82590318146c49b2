"""How often intervals of a mean hold the truth in clusters of unequal numbers of models.

`python tests/study/coverage_of_sizes.py RUNS` prints a row for each packaged study: models of the
method of its primary contrast by cluster, and the coverage of 95 % intervals. All models of a
cluster share its effect, which is normal, so clusters weigh as much as they have models.
"""

import sys
from collections import Counter

import numpy as np

from behemoth.study.analysis.estimate import jackknife
from behemoth.study.file.spec import read_study

STUDIES = (
    ("frequency", "desk"), ("frequency", "paper"), ("unlearning", "paper"), ("nested", "paper"),
    ("rank", "paper"), ("correlated", "paper"),
)  # fmt: skip


def models_by_cluster(name, size):
    """The numbers of models of each (world seed, initialisation), the largest first."""
    study = read_study(name, size)
    table = study.expand().table().filter(label=study.primary.method)
    rows = table.select("world_seed", "seed", "model", "rotation", "swap").unique()
    return sorted(Counter(rows.select("world_seed", "seed").iter_rows()).values(), reverse=True)


def covered(models, runs, seed=0):
    """The share of intervals of a mean that hold 0, the truth."""
    random, weight = np.random.default_rng(seed), np.array(models, float)
    held = 0
    for _ in range(runs):
        effect = random.normal(size=len(weight))

        def mean(rows, effect=effect):
            return [float(np.average(effect[rows], weights=weight[rows]))]

        [found] = jackknife(mean, np.arange(len(weight)))
        held += found.low <= 0 <= found.high
    return held / runs


if __name__ == "__main__":
    runs = int(sys.argv[1])
    for name, size in STUDIES:
        models = models_by_cluster(name, size)
        counts = ", ".join(f"{n} of {each}" for each, n in sorted(Counter(models).items()))
        sys.stdout.write(f"| {name} | {size} | {counts} | {covered(models, runs):.1%} |\n")
