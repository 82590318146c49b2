"""The command line: `main` and one file for each command or group, a thin face of functions.

It knows options, the words that they are given in and what is shown, and does no work of its own.
"""
