"""What is asked and what an answer means: rubric, prompt, answer. Pure."""
