"""The files of a run folder: which there are, whether they can be trusted, what kind of run they are."""
