"""Methods that follow a gradient: rows, losses, steps and their traces."""
