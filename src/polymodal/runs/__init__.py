"""Run folders: their files, the checks on loading, and vectors of single items."""
