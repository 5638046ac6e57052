"""The LLM endpoint: whether it works, one request, one call, when to try again."""
