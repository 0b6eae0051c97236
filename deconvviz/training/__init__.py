"""Fit a network, keep its state so that it can go on, and show its layers while it learns."""
