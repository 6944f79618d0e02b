"""Recommended pretrained encoders: the table, where each is found, and which suits a column. No torch."""
