"""Parsing of cells: numbers, labels and missing values, with one name per value."""
