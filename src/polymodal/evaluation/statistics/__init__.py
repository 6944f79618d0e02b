"""Intervals and tests: bootstrap, permutation, conformal prediction."""
