"""Cells as numbers, labels and missing values: how each is written, and one name per value."""
