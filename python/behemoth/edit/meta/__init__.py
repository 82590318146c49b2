"""What is learnt about editing itself: networks that make updates of gradients.

It knows plans, rows and models, and nothing of the methods that use it.
"""
