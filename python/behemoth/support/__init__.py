"""Utilities that every part of the package uses: files, processes, extras.

They know nothing about worlds, models or studies.
"""
