"""The command line: `main` and one module for each command or group.

It knows options, their syntax and the output of commands; the work is done by other packages.
"""
