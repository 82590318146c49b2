"""Suites: lists of measures that are taken of a run or an edit together, and said together.

A suite is a list of measures; a measure takes what it needs from the `Bench`, which works each
thing out once. One that cannot be taken says what is missing, and is never left out.
"""
