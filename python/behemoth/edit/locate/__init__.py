"""Shared code of locate-and-edit methods: sites in prompts, keys, covariances, target vectors.

This package finds where a prompt names a fact and what a layer's input is there. A method adds the
equation that it solves.
"""
