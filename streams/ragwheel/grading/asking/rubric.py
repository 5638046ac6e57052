"""What "relevant" means, per segment: versioned rubrics.

A rubric's version is its name and a hash of its content. Comments, layout and the list of segments
do not count; any change of wording does, because it is another question to the grader, and grades
of two questions must never be mixed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from ragwheel.schemas import identity
from ragwheel.schemas.errors import ConfigError
from ragwheel.schemas.events import GradeValue, GradingJob

#: The scale: 0 does not help … 3 is what was asked for.
GRADES: tuple[GradeValue, ...] = (0, 1, 2, 3)
#: In `segments`: every segment that no other rubric claims.
ANY_SEGMENT = "*"
ShownField = Literal["segment", "index"]
"""What a job says of its query beside the words; events carry no conversation."""
Context = tuple[tuple[str, str], ...]
"""Names and values of what is shown beside a query."""
SHOWN_FIELDS: tuple[str, ...] = get_args(ShownField)
#: `source` of the rubrics that come with the package.
SHIPPED = "shipped"


@dataclass(frozen=True, slots=True)
class RubricExample:
    """A graded passage that shows the grader where a boundary lies."""

    query: str
    passage: str
    grade: GradeValue


@dataclass(frozen=True, slots=True)
class Rubric:
    """One definition of relevance.

    Attributes:
        name: readable part of the version; letters, digits and dashes.
        task: what the searcher wants, in words the grader reads.
        grades: meaning of each grade, index = grade.
        examples: worked examples, shown in this order.
        segments: segments that its file claims, `ANY_SEGMENT` among them; may be none.
        version: `name@hash`; stored with every label.
        shows: what is shown beside the query's words.
        source: the file, or `SHIPPED`.
    """

    name: str
    task: str
    grades: tuple[str, str, str, str]
    examples: tuple[RubricExample, ...]
    segments: tuple[str, ...] = field(compare=False)
    version: str
    shows: tuple[str, ...] = ()
    source: str = field(default=SHIPPED, compare=False)

    def context_of(self, job: GradingJob) -> Context:
        """What is shown of `job` beside the query: name and value, in the rubric's order."""
        return tuple((name, getattr(job, name)) for name in self.shows)

    def version_for(self, job: GradingJob) -> str:
        """What a label's identity covers: with other words beside it, it is another question."""
        context = self.context_of(job)
        if not context:
            return self.version
        return identity.digest("shown", self.version, *(part for pair in context for part in pair))


class Rubrics:
    """The rubric of each segment. Immutable after construction."""

    def __init__(
        self, rubrics: Iterable[Rubric], assigned: Mapping[str, Rubric] | None = None
    ) -> None:
        """Index `rubrics` by segment.

        Args:
            assigned: segment → rubric, besides what the rubrics claim themselves.

        Raises:
            ConfigError: two rubrics claim one segment, or none claims `ANY_SEGMENT`.
        """
        claims = [(segment, rubric) for rubric in rubrics for segment in rubric.segments]
        self._by_segment: dict[str, Rubric] = {}
        for segment, rubric in (*claims, *(assigned or {}).items()):
            other = self._by_segment.setdefault(segment, rubric)
            if other is not rubric:
                raise ConfigError(
                    f"rubrics {other.name!r} and {rubric.name!r} both claim segment "
                    f"{segment!r}; leave it in one of the two files"
                )
        if ANY_SEGMENT not in self._by_segment:
            raise ConfigError(f'no rubric has segments = ["{ANY_SEGMENT}"] to catch the rest')

    def of(self, segment: str) -> Rubric:
        """The rubric that grades `segment`."""
        return self._by_segment.get(segment) or self._by_segment[ANY_SEGMENT]

    def __iter__(self) -> Iterator[Rubric]:
        return iter(dict.fromkeys(self._by_segment.values()))

    def items(self) -> list[tuple[str, Rubric]]:
        """Segments, `ANY_SEGMENT` last, with their rubrics."""
        return sorted(self._by_segment.items(), key=lambda each: (each[0] == ANY_SEGMENT, each[0]))
