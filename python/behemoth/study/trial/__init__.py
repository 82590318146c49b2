"""One model and one trial: train or load, plan, edit, measure, and the resulting frames.

It knows training, editing and evaluation, but not the other trials of the study.
"""
