"""Grading: jobs from `grading`, one LLM call per batch of passages, labels to `labels`.

Pure: rubric, prompt, answer, request, retry, cost, verdict. Shell: calls (openai), grader, worker,
app (Faust). Start reading at `grader.LlmGrader` and `rounds.judge`; docs/grading.md is the guide.
"""
