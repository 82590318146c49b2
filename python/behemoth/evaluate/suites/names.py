"""The names of the measures of each suite, for shell completion, which cannot wait for torch.

A test compares them with the suites.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["NAMES"]

NAMES: Mapping[str, tuple[str, ...]] = {
    suite: tuple(names.split())
    for suite, names in {
        "editing": """
            efficacy paraphrase neighbourhood score
            efficacy_magnitude paraphrase_magnitude neighbourhood_magnitude
            exact_efficacy exact_generalization exact_specificity exact_score question_match
            exact_portability exact_portability_if_known
            portability_subject_nested portability_correlated_followed portability_implicit_remap
            portability_subject_nested_if_known portability_correlated_followed_if_known
            portability_implicit_remap_if_known
            portability_inverse portability_inverse_if_known
            damage_same_subject damage_same_relation damage_same_object damage_unrelated
            damage_exposures_
            leakage leakage_unrelated validity kl kl_corpus kl_filler
            dose norm rank effective_rank spectrum_largest seconds peak_memory
        """,
        "unlearning": """
            forget_probability forget_recall extraction_strength exact_memorisation
            leak_at_1 leak_at_8 leak_at_64 truth_ratio
            forget_recall_held_out forget_recall_paraphrase forget_recall_question
            retain_same_subject retain_same_relation retain_same_object retain_unrelated
            retain_retain
            retain_probability_same_subject retain_probability_same_relation
            retain_probability_same_object retain_probability_unrelated retain_probability_retain
            model_utility perplexity_corpus perplexity_filler forget_quality forget_distance
            membership_loss membership_min_k membership_min_k_plus_plus
            privacy_loss privacy_min_k privacy_min_k_plus_plus membership_reference
            relearning_steps recall_8_bit recall_4_bit recall_pruned_10 recall_pruned_30
            forget_recall_hint continued_steps linear_probe linear_probe_control
            kl_twin_forget kl_twin_retain kl_twin_text parameters_twin
        """,
        "sequence": """
            hold_after_ efficacy_after_ first_after_ forgotten_after_ lost_after_ kl_after_
            norm_after_ half_life
        """,
        "recall": """
            recall recall_held_out recall_unasked valid_object recall_written recall_exposures_
            bits_per_fact bits_exposures_ bits_per_parameter
        """,
    }.items()
}
"""By suite, in its order. A name that ends with ``_`` is that of a family: numbers that depend on
the model, of exposures or of edits, follow it."""
