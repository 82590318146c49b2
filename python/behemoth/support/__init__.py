"""Utilities that every part of the package uses: files, processes, extras.

It knows nothing about worlds, models or studies.
"""
