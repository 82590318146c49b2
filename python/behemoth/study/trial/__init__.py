"""One model and one trial: train or load, plan, edit, measure, and the frames that are left.

It knows training, editing and evaluation, and nothing of the other trials of its study.
"""
