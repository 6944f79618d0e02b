"""Runs that answer in words: fitted, asked, measured, talked to."""
