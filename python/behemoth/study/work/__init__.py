"""Execution of a study: remaining work, workers on this machine or on Ray, and cost estimates.

This package handles units of work and where their results are stored, not what is measured in them.
"""
