"""Metrics and statistics over arrays of predictions."""
