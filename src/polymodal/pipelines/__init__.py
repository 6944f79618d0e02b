"""Several fits, and what a fit leaves behind: folds, seeds, searches, fusions, ablations, results."""
