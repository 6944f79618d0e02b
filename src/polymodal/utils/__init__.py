"""Utilities without knowledge of data or models: atomic writes, locks, progress, devices, hub, registries."""
