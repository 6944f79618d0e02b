"""Losses that need no target: what a model learns from rows as such."""
