"""What methods that follow a gradient share: rows, losses, steps, and the trace of each edit.

It knows plans, deltas and models. A method on top of it is its defaults and its objective.
"""
