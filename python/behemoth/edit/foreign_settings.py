"""Names that other tools have for settings of methods, for the hint when one is not known here."""

from __future__ import annotations

from collections.abc import Collection

__all__ = ["OWN_NAMES", "own_name"]

OWN_NAMES = {
    # EasyEdit, ROME and MEMIT
    "lr": ("learning_rate",),
    "v_lr": ("learning_rate",),
    "edit_lr": ("learning_rate",),
    "v_num_grad_steps": ("steps",),
    "num_steps": ("steps",),
    "n_iter": ("steps",),
    "kl_factor": ("keep",),
    "v_weight_decay": ("decay",),
    "clamp_norm_factor": ("clamp",),
    "fact_token": ("token",),
    "mom2_n_samples": ("samples",),
    "mom2_update_weight": ("weight",),
    "norm_constraint": ("epsilon", "bound"),
    "mask_ratio": ("mask",),
    # open-unlearning
    "gamma": ("forget",),
    "steering_coeff": ("steering",),
    "lora_alpha": ("alpha",),
    "r": ("rank",),
}
"""Our names for each, of which a method has at most one."""


def own_name(name: str, known: Collection[str]) -> str | None:
    """Return the setting of a method that another tool calls `name`; None if it has none."""
    return next((own for own in OWN_NAMES.get(name.casefold(), ()) if own in known), None)
