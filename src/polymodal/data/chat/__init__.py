"""From table rows to encoded conversations: what is said, what an encoder reads, what is learned."""
