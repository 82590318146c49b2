"""Names that other tools have for settings of methods, for the hint when one is not known here."""

from __future__ import annotations

from collections.abc import Collection

__all__ = ["OWN_NAMES", "is_foreign", "own_name"]

OWN_NAMES = {
    # EasyEdit, ROME and MEMIT
    "lr": ("learning_rate",),
    "v_lr": ("learning_rate",),
    "edit_lr": ("edit_rate", "learning_rate"),
    "v_num_grad_steps": ("steps",),
    "num_steps": ("steps",),
    "n_iter": ("steps",),
    "kl_factor": ("keep",),
    "v_weight_decay": ("decay",),
    "clamp_norm_factor": ("clamp",),
    "fact_token": ("token",),
    "mom2_n_samples": ("samples",),
    "mom2_update_weight": ("weight", "slack"),
    "emmet_lambda": ("slack",),
    "nullspace_threshold": ("eigenvalue",),
    "l2": ("damping",),
    "update_norm_lambda": ("norm",),
    "prob_cutoff": ("stop_after",),
    "norm_constraint": ("epsilon", "bound"),
    "mask_ratio": ("mask",),
    "eps": ("epsilon",),
    "n_edits": ("together",),
    # open-unlearning
    "gamma": ("forget",),
    "steering_coeff": ("steering",),
    "beta1": ("saturation",),
    "beta2": ("importance",),
    "dual_step_size": ("dual_rate",),
    "dual_update_upon": (),
    "retain_loss_eps": (),  # a bound on the loss; our `slack` is one on its rise
    "retain_loss_type": (),
    "lora_alpha": ("alpha",),
    "r": ("rank",),
}
"""Our names for each, in lower case: a method's is the first that it has, if it has one."""


def is_foreign(name: str) -> bool:
    """Return whether another tool has a setting of this name: what it is here, no spelling says."""
    return name.casefold() in OWN_NAMES


def own_name(name: str, known: Collection[str]) -> str | None:
    """Return the setting of a method that another tool calls `name`; None if it has none."""
    return next((own for own in OWN_NAMES.get(name.casefold(), ()) if own in known), None)
