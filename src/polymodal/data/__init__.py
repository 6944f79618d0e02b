"""Tables, media and conversations: from whatever holds rows to batches for a model."""
