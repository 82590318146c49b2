"""The study file: what may be asked, as a grid, and the names of the work it comes to.

It knows what worlds, trainings, plans and methods may be, and carries out none of them.
"""
