"""Other people's APIs, one file each: what their clients send, and what they understand."""
