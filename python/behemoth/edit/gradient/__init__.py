"""Shared code of gradient methods: rows, losses, steps, and the trace of each edit.

This package depends on plans, deltas and models. A method adds its defaults and its loss.
"""
