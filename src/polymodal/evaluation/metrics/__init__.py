"""Metrics of predictions against the ground truth; importing it registers the built-in ones."""

from polymodal.evaluation.metrics import class_metrics, label_metrics, number_metrics, rank_metrics  # noqa: F401
