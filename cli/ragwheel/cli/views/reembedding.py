"""`ragwheel reembed` in words, and its progress."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from ragwheel.cli.output import tell
from ragwheel.operations.reembedding import ReembedPlan, ReembedReport
from ragwheel.reembed.shards import Totals
from ragwheel.reembed.verification import Findings

_EVERY_S = 2.0


def plan(report: ReembedPlan) -> str:
    """Cost and hours first, then what may be the better deal."""
    cost = report.price
    usd = f", {cost.usd:,.2f} USD" if cost.usd else ""
    lines = [
        f"re-embedding {report.reembed_id}: {_time(cost.hours)} (± {report.uncertainty:.0%}: "
        f"{_time(cost.low)} to {_time(cost.high)}){usd}",
        f"  {report.chunks:,} chunks, {report.texts:,} texts, {report.to_embed:,} tokens to embed; "
        f"{report.cached:.0%} of the vectors are cached; {report.texts_per_s:,.0f} texts/s "
        "measured here",
        f"  index {report.index!r}: {report.from_version} → {report.version}, in {report.store}",
        f"  {report.target}: {report.dimension} dimensions, vectors of "
        f"{report.document_fingerprint}",
    ]
    if report.old_stored is not None and report.old_stored != report.chunks:
        lines.append(
            f"  the store holds {report.old_stored:,} chunks and ragwheel knows {report.chunks:,}: "
            "`verify` is going to ask about that"
        )
    for each in report.advice:
        lines += ["", f"{each.way}: {each.said}", f"  {each.command}"]
    return "\n".join([*lines, "", "next: `ragwheel reembed run` builds it; searches are untouched"])


def standing(report: ReembedReport) -> str:
    """State, counts, findings, and what to do next."""
    totals = report.totals
    lines = [
        f"re-embedding {report.reembed_id} is {report.state} since "
        f"{report.since:%Y-%m-%d %H:%M} UTC, by {report.by}"
        + (f": {report.reason}" if report.reason else ""),
        f"  index {report.index!r}: {report.from_version} → {report.version} by {report.target}, "
        f"in {report.store}",
        f"  searched: {report.searched or 'nothing'}",
        f"  {totals.corpus:,} chunks = {totals.embedded:,} embedded + "
        f"{sum(totals.failed.values()):,} failed + {sum(totals.skipped.values()):,} skipped + "
        f"{totals.waiting:,} waiting + {report.unaccounted:,} new; {totals.shards_done:,} of "
        f"{totals.shards:,} shards",
        *_reasons("failed", totals.failed),
        *_reasons("skipped", totals.skipped),
    ]
    if report.hours_left is not None:
        lines.append(f"  {_time(report.hours_left)} left, by the speed so far or the plan")
    if report.findings is not None:
        lines += ["", *_findings(report.findings)]
    if report.said:
        lines += ["", report.said]
    return "\n".join([*lines, "", f"next: {report.next}"])


def progress() -> Callable[[Totals], None]:
    """Says on stderr every two seconds how far a build is, at the speed of this run."""
    began, first, last = time.monotonic(), -1, 0.0

    def watch(totals: Totals) -> None:
        nonlocal began, first, last
        now = time.monotonic()
        done = totals.corpus - totals.waiting - max(0, totals.unaccounted)
        if first < 0:
            # Loading and planning came before the first shard; they are not its speed.
            began, first, last = now, done, now
        elif now < last + _EVERY_S and totals.waiting:
            return
        last = now
        speed = (done - first) / (now - began) if now > began else 0.0
        left = f", {_time(totals.waiting / speed / 3_600)} left" if speed else ""
        tell(f"{done:,} of {totals.corpus:,} chunks, {speed:,.0f} a second{left}")

    return watch


def _time(hours: float) -> str:
    """Hours, or minutes where they are few."""
    return f"{hours:,.1f} hours" if hours >= 1 else f"{60 * hours:,.1f} minutes"


def _findings(found: Findings) -> list[str]:
    lines = [
        f"verified: {found.stored:,} chunks stored, {found.found_itself} of {found.sampled} "
        f"sampled chunks find themselves, {found.canaries} canary searches answered"
    ]
    if found.recall is not None:
        r = found.recall
        lines.append(
            f"  recall@10 {r.new.value:.3f}, was {r.old.value:.3f} ({r.difference.value:+.3f}, "
            f"95 % {r.difference.low:+.3f} to {r.difference.high:+.3f}) on {r.queries:,} judged "
            f"queries; {found.tolerance:g} may be lost"
        )
    return [*lines, *(f"  against it: {each}" for each in found.problems)]


def _reasons(what: str, reasons: Mapping[str, int]) -> list[str]:
    ordered = sorted(reasons.items(), key=lambda item: -item[1])
    return [f"    {count:,} {what}: {reason}" for reason, count in ordered]
