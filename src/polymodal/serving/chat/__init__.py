"""Chat in OpenAI's form: requests to conversations, and answers to completions and their pieces."""
