"""How conversations become batches that a language model learns from."""
