"""Training a language model on conversations: what is read, packed, learned in which stage."""
