"""Carrying out a study: what is left to do, workers on this machine or on Ray, and what it costs.

It knows units of work and where their results lie, and nothing of what is measured in them.
"""
