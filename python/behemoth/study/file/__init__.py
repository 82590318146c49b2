"""The study file: its language, its grid, and the units of work it expands to, with their ids.

It knows what worlds, trainings, plans and methods are valid, but carries out none of them.
"""
