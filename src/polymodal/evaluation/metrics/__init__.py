"""Metrics of predictions, per task; thresholds and calibration."""
