"""What the frames of a study say: doses, slopes, damage, capacity, and how sure that is.

Everything here takes and gives polars frames; the models are statsmodels' and the intervals treat
one trained model, a (world, initialisation), as one observation.
"""
