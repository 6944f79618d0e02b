"""Run folders: their files, safety checks before loading, and the capabilities of each kind of run."""
