"""Decoded media and features of frozen encoders, kept in memory, then on disk."""
