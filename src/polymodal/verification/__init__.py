"""Kept rows of a run, replayed: answers through Python, the service and exports against those of the fit."""
