"""Training: the declaration read and checked, the loop, and what follows it."""
