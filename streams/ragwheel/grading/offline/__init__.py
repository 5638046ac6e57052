"""Grading a file without Kafka and ClickHouse: `ragwheel grade`.

`job_lines` reads, `label_file` keeps what was paid, `file_grading` runs the engine of the worker
(`grader.LlmGrader`) over it, or only writes down what it would ask.
"""
