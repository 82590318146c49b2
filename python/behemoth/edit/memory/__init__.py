"""Shared code of memory methods: one matrix, its inputs and outputs, and codebooks.

This package depends on rows, models and deltas, and not on the methods that use it.
"""
