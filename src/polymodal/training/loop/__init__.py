"""The Trainers, their checkpoints, samplers and parameter groups."""
