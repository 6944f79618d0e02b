"""An index of a run's vectors in LanceDB, and the search in it."""
