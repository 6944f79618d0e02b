"""Rows to training, validation and test rows, and to folds."""
