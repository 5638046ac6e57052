"""From passages to results: ask in batches, and ask again only for what is still open.

What a round leaves open decides how it is asked next: an id that the answer missed or muddled is
asked again without those that are settled; a truncated batch is halved; a refused batch is asked
passage by passage, so that one passage cannot take its neighbours with it. A batch that the
endpoint itself turns away is halved until the passage that it is about stands alone, however many
rounds that takes. After the last round the last trouble is the status. A grade, once read, is never
asked for again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, groupby
from operator import attrgetter

from ragwheel.grading.asking import answer
from ragwheel.grading.asking.prompt import PackLimits, Passage, Prompt, build, pack
from ragwheel.grading.asking.rubric import Context, Rubric
from ragwheel.grading.cost import share
from ragwheel.grading.endpoint.calls import CallOutcome, Completer
from ragwheel.grading.endpoint.retry import GiveUp
from ragwheel.grading.result import PairResult
from ragwheel.grading.spending import Spending
from ragwheel.schemas.events import GradeValue, LabelStatus


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked about a set of passages, and in which `order` (see `prompt.pack`).

    Attributes:
        context: what is shown beside the query.
    """

    rubric: Rubric
    query: str
    order: str
    context: Context = ()


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a pair has no grade yet.

    Attributes:
        final: asking again cannot help.
        shared: it may be about another passage of the batch, so it uses up none of the rounds.
    """

    status: LabelStatus
    reason: str
    final: bool = False
    shared: bool = False


@dataclass(slots=True)
class _Pair:
    """A passage on its way to a result."""

    passage: Passage
    batch_size: int
    #: What it cost so far.
    result: PairResult
    trouble: Trouble | None = None
    #: How often it was asked for and answered badly.
    rounds: int = 0


async def judge(
    completer: Completer,
    question: Question,
    passages: Iterable[Passage],
    limits: PackLimits,
    *,
    rounds: int,
    spending: Spending,
    decoys: Sequence[Passage] = (),
) -> dict[str, PairResult]:
    """A result for every passage, by chunk hash.

    Args:
        rounds: how often a pair is asked for at most; requests that failed are not counted.
        decoys: asked for together with the passages, hence once: alone they are worth no call.
    """
    results: dict[str, PairResult] = {}
    pending = {
        each.chunk_hash: _Pair(each, limits.passages, PairResult("failed")) for each in passages
    }
    extra = {each.chunk_hash: _Pair(each, limits.passages, PairResult("failed")) for each in decoys}
    for attempt in count(1):
        if not pending:
            break
        async with asyncio.TaskGroup() as group:
            for batch in _batches(pending.values(), limits, question.order, attempt, extra):
                group.create_task(
                    _ask(completer, question, batch, limits, attempt, spending, results)
                )
        for chunk_hash, pair in extra.items():
            if chunk_hash not in results and pair.trouble:
                results[chunk_hash] = _ended(pair, pair.trouble)
        extra = {}
        for chunk_hash, pair in list(pending.items()):
            if chunk_hash in results:
                del pending[chunk_hash]
            elif pair.trouble and (pair.trouble.final or pair.rounds >= rounds):
                del pending[chunk_hash]
                results[chunk_hash] = _ended(pair, pair.trouble)
    return results


def _ended(pair: _Pair, trouble: Trouble) -> PairResult:
    return replace(pair.result, status=trouble.status, reason=trouble.reason)


def _batches(
    pairs: Iterable[_Pair],
    limits: PackLimits,
    order: str,
    attempt: int,
    extra: Mapping[str, _Pair],
) -> Iterator[list[_Pair]]:
    """Pack pairs that want the same batch size together."""
    size = attrgetter("batch_size")
    for batch_size, group in groupby(sorted(pairs, key=size), key=size):
        by_hash = {pair.passage.chunk_hash: pair for pair in group}
        packed = pack(
            [pair.passage for pair in by_hash.values()],
            replace(limits, passages=batch_size),
            order,
            attempt,
            [pair.passage for pair in extra.values()],
        )
        for batch in packed:
            yield [(by_hash.get(each.chunk_hash) or extra[each.chunk_hash]) for each in batch]


async def _ask(
    completer: Completer,
    question: Question,
    pairs: Sequence[_Pair],
    limits: PackLimits,
    attempt: int,
    spending: Spending,
    results: dict[str, PairResult],
) -> None:
    batch = [pair.passage for pair in pairs]
    prompt = build(question.rubric, question.query, batch, limits, attempt, question.context)
    money = await spending.reserve(completer.model, prompt)
    if isinstance(money, str):
        for pair in pairs:
            pair.trouble = Trouble("over_budget", money, final=True)
        return
    outcome = await completer.complete(prompt)
    spending.settle(completer.model, money, outcome.result)
    _charge(pairs, outcome, limits)
    for pair, found in zip(pairs, interpret(outcome, prompt).values(), strict=True):
        if isinstance(found, Trouble):
            pair.trouble = found
            pair.rounds += not found.shared
            pair.batch_size = next_batch_size(found, len(pairs), limits.passages)
        else:
            graded = replace(pair.result, status="graded", grade=found)
            results[pair.passage.chunk_hash] = graded


def interpret(outcome: CallOutcome, prompt: Prompt) -> Mapping[str, GradeValue | Trouble]:
    """What an outcome says about each chunk of its prompt, in the prompt's order."""
    result = outcome.result
    chunks = prompt.chunk_of_id
    if isinstance(result, GiveUp):
        alone = len(chunks) == 1
        turned_away = Trouble(result.status, result.reason, final=alone, shared=not alone)
        return dict.fromkeys(chunks.values(), turned_away)
    if result.ending == "refused":
        # Asked alone and refused: no later round would ask differently.
        refusal = Trouble("refused", "the model refused", final=len(chunks) == 1)
        return dict.fromkeys(chunks.values(), refusal)
    if result.ending == "truncated":
        # Even if what is there happens to parse: nobody knows what the rest would have said.
        cut = Trouble("truncated", f"cut at the token limit after {result.output_tokens} tokens")
        return dict.fromkeys(chunks.values(), cut)
    read = answer.parse(result.text, chunks.keys())
    return {
        chunk_hash: read.grades[opaque]
        if opaque in read.grades
        else Trouble("unparsed", read.rejected[opaque])
        for opaque, chunk_hash in chunks.items()
    }


def next_batch_size(trouble: Trouble, asked_together: int, limit: int) -> int:
    """How many passages share the next call of a pair that was left open with `trouble`."""
    if trouble.shared or trouble.status == "truncated":
        return max(1, asked_together // 2)
    return 1 if trouble.status == "refused" else limit


def _charge(pairs: Sequence[_Pair], outcome: CallOutcome, limits: PackLimits) -> None:
    """Share out the call: input tokens by length shown, output tokens equally."""
    for pair in pairs:
        pair.result = replace(pair.result, attempts=pair.result.attempts + outcome.tries)
    call = outcome.result
    if isinstance(call, GiveUp):
        return
    lengths = [min(pair.passage.tokens, limits.passage_tokens) for pair in pairs]
    inputs = share(call.input_tokens, lengths)
    outputs = share(call.output_tokens, [1] * len(pairs))
    for pair, input_tokens, output_tokens in zip(pairs, inputs, outputs, strict=True):
        pair.result = replace(
            pair.result,
            input_tokens=pair.result.input_tokens + input_tokens,
            output_tokens=pair.result.output_tokens + output_tokens,
            latency_ms=call.latency_s * 1000,
        )
