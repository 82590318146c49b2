"""What every part of the package needs and none of them is about: files, processes, extras.

It knows nothing of worlds, models or studies.
"""
