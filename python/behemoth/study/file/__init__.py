"""The study file: what may be asked, as a grid, and the names of the work it comes to."""
