"""Trainings that start from another run: what is loaded, and what is inherited."""
