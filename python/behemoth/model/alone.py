"""One model at a time is made in a process, whichever threads ask for one."""

from threading import RLock

__all__ = ["MAKING"]

# Of the process, as is what it guards; reentrant, as a model may be made while another is.
MAKING = RLock()
"""Lock of the thread that makes or loads a model.

While transformers makes or loads one, it replaces functions of its classes (that which ties
weights, those which initialise them) and torch's default dtype, and puts back what it found. Of two
threads at once, the second finds the replacement of the first and puts that back: from then on no
model of the process had tied weights. Random weights come from torch's global generator, of which
two threads would take each other's numbers.
"""
