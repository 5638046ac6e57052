"""The smallest question that has the form of all others: for finding out whether they would work.

Its answer is worth nothing but its form; asking costs about 150 tokens.
"""

from __future__ import annotations

from ragwheel.grading.asking.prompt import Prompt

SMALLEST = Prompt(
    system="Grade how well each passage answers the query: 3 fully, 2 partly, 1 hardly, 0 not at "
    'all. Answer with JSON: {"grades": [{"id": "<id>", "grade": <0, 1, 2 or 3>}]}',
    user='<query sky>\ncolor of the sky\n</query sky>\n\n<passage sky id="blue">\n'
    "The sky is blue.\n</passage sky>\n\nGrade these ids: blue",
    chunk_of_id={"blue": "none"},
)
