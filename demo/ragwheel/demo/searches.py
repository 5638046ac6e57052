"""Search traffic as it comes to a service: repeats, spellings, sessions, empty results. Pure.

Who asks what is drawn once from a seed, so a run can be repeated search by search. What users do
with the results is in `behaviour`.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

#: Exponent of the popularity of questions. Query logs of web search are near 1.
ZIPF_EXPONENT = 1.0
#: Packages that people ask for and that the index does not hold.
UNINDEXED_PACKAGES = ("numpy", "requests", "pandas", "django", "flask", "scipy")
_USERS = 400
_MEAN_SEARCHES_PER_SESSION = 3.0


@dataclass(frozen=True, slots=True)
class CorpusQuestion:
    """Something that can be asked, and the chunk that answers it.

    Attributes:
        text: the question, a docstring's first sentence.
        segment: package family of the chunk.
        chunk_id: the one chunk it was written for.
    """

    text: str
    segment: str
    chunk_id: str


@dataclass(frozen=True, slots=True)
class Search:
    """One search by one user.

    Attributes:
        text: as typed: letter case and white space vary between people.
        question: what was meant.
        user: pseudonym.
        session: pseudonym; a user's consecutive searches.
        package: restrict the results to this top-level package; "" searches everything.
    """

    text: str
    question: CorpusQuestion
    user: str
    session: str
    package: str = ""


def plan(
    questions: Sequence[CorpusQuestion], searches: int, zero_results: int, rng: random.Random
) -> tuple[Search, ...]:
    """Draw `searches` searches: each question at least once, the rest by Zipf's law.

    Raises:
        ValueError: there are fewer searches than questions and empty results to fit in.
    """
    repeats = searches - zero_results - len(questions)
    if repeats < 0 or not questions:
        raise ValueError(
            f"{searches} searches cannot hold {len(questions)} questions "
            f"and {zero_results} empty results"
        )
    by_popularity = rng.sample(questions, len(questions))
    weights = [1 / (rank + 1) ** ZIPF_EXPONENT for rank in range(len(by_popularity))]
    asked = [(question, "") for question in questions]
    asked += [(question, "") for question in rng.choices(by_popularity, weights, k=repeats)]
    asked += [
        (question, rng.choice(UNINDEXED_PACKAGES))
        for question in rng.choices(questions, k=zero_results)
    ]
    rng.shuffle(asked)
    people = _sessions(rng)
    return tuple(
        Search(respell(question.text, rng), question, *next(people), package)
        for question, package in asked
    )


def respell(text: str, rng: random.Random) -> str:
    """Vary letter case and white space only: what `canonical_query` maps back to one query."""
    draw = rng.random()
    if draw < 0.55:
        return text
    if draw < 0.75:
        return text.lower()
    if draw < 0.80:
        return text.upper()
    if draw < 0.90:
        return f" {text}  "
    return "  ".join(text.split())


def _sessions(rng: random.Random) -> Iterator[tuple[str, str]]:
    """(user, session) of one search after another, without end."""
    for number in itertools.count():
        user = f"u-{int(_USERS * rng.random() ** 2):04d}"
        length = 1 + int(rng.expovariate(1 / (_MEAN_SEARCHES_PER_SESSION - 1)))
        yield from itertools.repeat((user, f"s-{number:06d}"), length)
