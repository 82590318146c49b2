"""The command line: `main` and one module for each command or group.

The commands parse options, call functions of other packages, and print the results.
"""
