"""A run in the form of another library."""
