"""What methods that remember share: rows through a model, at one matrix.

It knows rows and models, and nothing of what is made of them.
"""
