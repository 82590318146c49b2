"""Analysis of a study's frames: doses, slopes, damage and capacity, with intervals.

Functions take and return polars frames. Logistic models are fitted by statsmodels, doses by `aft`;
intervals treat a cluster, a (world seed, initialisation), as one observation.
"""
