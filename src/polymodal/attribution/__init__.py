"""Attribution of a prediction to the parts of its row: words, cells, patches, spans of time."""
