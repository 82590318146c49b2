"""Suites: lists of measures that are taken of a run or an edit, and reported, together.

A measure takes its inputs from the `MeasuredModel`, which computes each of them once. A measure
that cannot be taken is reported with what is missing, and never omitted.
"""
