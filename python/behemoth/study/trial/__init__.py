"""One model and one trial: train or load, plan, edit, measure, and the resulting frames.

This package depends on training, editing and evaluation, and not on other trials of the study.
"""
