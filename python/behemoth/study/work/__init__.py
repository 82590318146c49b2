"""Execution of a study: remaining work, workers on this machine or on Ray, and cost estimates.

It knows units of work and where their results are stored, but not what is measured in them.
"""
