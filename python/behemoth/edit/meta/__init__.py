"""Meta-learning: networks that map gradients to updates, and their training.

This package depends on plans, rows, models and deltas, and not on the methods that use it.
"""
