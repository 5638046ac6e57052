"""The LLM endpoint: one request, one call, how fast, when to try again, and when nobody may."""
