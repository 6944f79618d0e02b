"""Trainers, checkpoints, samplers and parameter groups."""
