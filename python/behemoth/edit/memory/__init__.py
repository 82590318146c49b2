"""Shared code of memory methods: the inputs and outputs of one matrix, and codebooks.

This package depends on rows, models and deltas, and not on the methods that use it.
"""
