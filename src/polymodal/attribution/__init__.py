"""Which parts of a row an answer hangs on: words, cells, patches, stretches of time."""
