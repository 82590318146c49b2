"""The study file: its language, its grid, and the units of work it expands to, with their ids.

This package validates worlds, trainings, plans and methods, and carries out none of them.
"""
