"""What locate-and-edit methods share: sites in prompts, keys, covariances, target values.

It knows where in a prompt a fact is named and what a layer reads there. A method on top of it is
the equation that it solves.
"""
