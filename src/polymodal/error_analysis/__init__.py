"""Where a model fails: per class, per subgroup, and row by row."""
