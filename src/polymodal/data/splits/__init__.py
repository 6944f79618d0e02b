"""Splits into training, validation and test rows, folds, and label budgets."""
