"""Carrying out a study: schedule, workers on this machine or on Ray, costs."""
