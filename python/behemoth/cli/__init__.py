"""The command line: `main` and one file a verb, each a thin face of one function."""
