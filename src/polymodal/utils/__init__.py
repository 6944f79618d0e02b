"""What every room stands on: atomic writes, locks, progress, devices, the hub, registries."""
