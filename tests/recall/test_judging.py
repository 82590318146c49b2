"""The rules by which a pass of a model is judged, on outputs with known results."""

from types import SimpleNamespace

import numpy as np
import torch

from behemoth.recall.judging import (
    among_objects,
    copied_fillers,
    matches,
    rank_among,
    token_log_probabilities,
    without_fillers,
)
from behemoth.recall.ragged import Ragged


def test_only_fillers_at_the_end_are_removed():
    tokens = np.array([[5, 9, 9], [9, 5, 9], [5, 9, 9], [9, 9, 9], [5, 9, 9]])
    filler = np.array([9, 9, 9, 9, -1])
    made = without_fillers(tokens, np.array([3, 3, 2, 3, 3]), filler)
    assert made.tolist() == [1, 2, 1, 0, 3]


def test_a_filler_may_follow_in_templates_that_repeat_it(corpus):
    probes = corpus.probes([0, 1])
    prompts = Ragged.of(probes["prompt"].to_list())
    assert copied_fillers(prompts, probes["template"]).tolist() == [-1] * len(probes)


def test_an_output_matches_if_it_is_the_answer_and_nothing_else():
    answers = Ragged.of([[1], [2, 3], [2, 3], [2, 3], [4]])
    tokens = np.array([[2, 3, 7], [2, 3, 7], [2, 7, 7], [2, 3, 7]])
    rows, made = np.array([2, 1, 3, 1]), np.array([2, 3, 2, 1])
    assert matches(tokens, made, answers, rows).tolist() == [True, False, False, False]
    # An output may be narrower than the longest answer.
    assert matches(tokens[:1, :1], np.array([1]), Ragged.of([[2, 3]]), np.array([0])) == [False]


def test_tokens_beyond_an_answer_add_nothing_whatever_their_logits():
    logits = torch.zeros(2, 2, 4)
    logits[1, 1] = torch.tensor([-torch.inf, torch.nan, 0.0, 0.0])
    each = token_log_probabilities(logits, np.array([[1, 2], [1, 0]]), np.array([2, 1]))
    assert each.dtype == torch.float64
    expected = -np.log(4) * np.array([[1, 1], [1, 0]])
    np.testing.assert_allclose(each.numpy(), expected, rtol=1e-6)


def test_ranks_are_among_the_objects_of_the_relation_alone():
    words = SimpleNamespace(leading=lambda relation: np.array([[1, 2, 4], [3, 5]][relation]))
    scores = torch.tensor([[9.0, 1, 3, 0, 2, 0], [9.0, 0, 0, 1, 0, 2], [9.0, 3, 3, 9, 1, 9]])
    found = list(among_objects(scores, np.array([0, 1, 0]), words))
    assert [(relation, rows.tolist()) for relation, rows, _, _ in found] == [(0, [0, 2]), (1, [1])]
    _, _, leading, among = found[0]
    assert among.tolist() == [[1, 3, 2], [3, 3, 1]]
    assert rank_among(among, leading, np.array([4, 1])).tolist() == [2, 2], "a tie counts against"
    assert rank_among(among, leading, np.array([3, 7])).tolist() == [0, 0], "no objects"
    nan = torch.full((1, 3), torch.nan)
    assert rank_among(nan, leading, np.array([1])).tolist() == [3]
