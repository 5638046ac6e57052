"""Grading: jobs from `grading`, one LLM call per batch of passages, labels to `labels`.

Start reading at `grader.LlmGrader` (a job becomes labels) and `rounds.judge` (passages become
results); docs/grading.md is the guide. Pure: `asking` (rubric, prompt, answer), in `endpoint` the
request, the retry decisions, the limiter and the breaker's circuit, `cost`, `result`. Around them:
`endpoint.calls` (openai), `store` (what was graded before), `flight` (what is being graded),
`spending`, and the Kafka side: `handling`, `window`, `app` (Faust), `process`.
"""
