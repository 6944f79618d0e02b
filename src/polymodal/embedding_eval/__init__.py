"""Evaluation of a run's vectors: retrieval, zero-shot classification and linear probes."""
