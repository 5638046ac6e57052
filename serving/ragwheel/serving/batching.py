"""Which texts are encoded together. Pure: no clock, no thread, no model.

There is no timer. Whoever encodes takes what waits, and what comes meanwhile is the next batch: an
idle server never waits, a busy one fills its batches by itself (the rule of Hugging Face's
text-embeddings-inference, `core/src/queue.rs`). Texts that must not meet stand in lanes: a batch is
of one lane. Lanes take turns, so a query waits for one batch of documents, not for all of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field

from ragwheel.models.encoder import Vectors

#: Batches' worth of waiting texts among which those of one length are chosen.
_LOOKAHEAD = 8


@dataclass(frozen=True, slots=True)
class BatchLane:
    """Texts that may share a batch.

    Attributes:
        generation: whose texts of one `kind` do; held, so that its identity stays its own.
        kind: encoder and role, or the query of a reranking.
        run: one result per text, in their order. Called from the encode thread only.
        model: whose results they are, for messages.
    """

    generation: object
    kind: Hashable
    run: Callable[[Sequence[str]], Vectors | Sequence[float]]
    model: str

    @property
    def key(self) -> Hashable:
        """Equal for equal lanes."""
        return id(self.generation), self.kind


@dataclass(slots=True, eq=False)
class Caller:
    """Someone who waits for texts. `gone` once the connection was closed."""

    gone: bool = False


@dataclass(slots=True, eq=False)
class WaitingText:
    """A text in its lane; `index` is its place in the request of `caller`."""

    text: str
    tokens: int
    caller: Caller
    index: int


@dataclass(slots=True)
class TextBatch:
    """What is encoded in one call; `dropped` texts before it were no longer wanted."""

    lane: BatchLane
    texts: list[WaitingText]
    dropped: int = 0


@dataclass(slots=True)
class _Line:
    lane: BatchLane
    texts: deque[WaitingText] = field(default_factory=deque)


class WaitingRoom:
    """Texts that wait, by lane. Not thread-safe: its owner locks.

    Args:
        max_batch_tokens: of a batch as it is computed: its longest text times its number of texts.
            A longer text is a batch of its own.
    """

    def __init__(self, max_batch_tokens: int) -> None:
        self._budget = max_batch_tokens
        self._lines: dict[Hashable, _Line] = {}

    def __len__(self) -> int:
        return sum(len(line.texts) for line in self._lines.values())

    def let_in(self, lane: BatchLane, texts: Iterable[WaitingText]) -> None:
        """Add the texts of a request, behind those of its lane."""
        self._lines.setdefault(lane.key, _Line(lane)).texts.extend(texts)

    def next_batch(self) -> TextBatch | None:
        """Take the next lane's oldest text and what goes with it; None: nothing waits.

        A batch without texts says that only dropped ones were left in the lane.
        """
        if not self._lines:
            return None
        key, line = next(iter(self._lines.items()))
        del self._lines[key]
        wanted = deque(each for each in line.texts if not each.caller.gone)
        dropped = len(line.texts) - len(wanted)
        taken = chosen(wanted, self._budget)
        if len(taken) < len(wanted):
            out = set(map(id, taken))
            line.texts = deque(each for each in wanted if id(each) not in out)
            self._lines[key] = line  # behind the others
        return TextBatch(line.lane, taken, dropped)


def chosen(waiting: Sequence[WaitingText], budget: int) -> list[WaitingText]:
    """The oldest text and as many others as fit.

    Everything, in its order, where it fits. Where more than one batch waits, those that are about
    as long as the oldest: padding is the largest avoidable cost.
    """
    seen: list[WaitingText] = []
    tokens = 0
    for each in waiting:
        if seen and tokens + each.tokens > budget * _LOOKAHEAD:
            break
        seen.append(each)
        tokens += each.tokens
    if not seen:
        return []
    if len(seen) == len(waiting) and max(each.tokens for each in seen) * len(seen) <= budget:
        return seen
    oldest = seen[0].tokens
    taken: list[WaitingText] = []
    longest = 0
    for each in sorted(seen, key=lambda each: abs(each.tokens - oldest)):
        longest = max(longest, each.tokens)
        if taken and longest * (len(taken) + 1) > budget:
            break
        taken.append(each)
    return taken
