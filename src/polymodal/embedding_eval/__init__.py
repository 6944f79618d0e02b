"""What a run's vectors are worth by themselves: retrieval, labels without training, linear probes."""
