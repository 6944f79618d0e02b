"""Input importance: each input alone, removed, permuted, and in every subset."""
