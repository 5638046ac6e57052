"""The parts of the report, each a plot or a table with the sentence that says how to read it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from ragwheel.demo.report import bars, ranks
from ragwheel.demo.report.quality import comparison_plot
from ragwheel.demo.result import ALL_SEGMENTS, Comparison, DemoResult, Interval

_BEFORE_AFTER = (
    '<div class="key"><span><i style="background:var(--before)"></i>before: the base model</span>'
    '<span><i style="background:var(--after)"></i>after: the trained model</span></div>'
)


def opening(result: DemoResult) -> Iterator[str]:
    """Headline, verdict, key figures."""
    yield "<h1>One turn of the wheel</h1>"
    yield (
        '<p class="lead">Search traffic went in, a grader judged what was retrieved, a better '
        "embedding model came out, and a gate decided whether it may serve.</p>"
    )
    bad = bool(result.problems)
    words = _headline(result)
    yield f'<div class="verdict{" bad" if bad else ""}"><p><b>{escape(words)}</b></p>'
    if result.verdict is not None:
        yield f"<p>{escape(result.verdict.reason)}</p>"
    yield from (f"<p>✗ {escape(problem)}</p>" for problem in result.problems)
    yield "</div>"
    yield (
        '<div class="cards">'
        + "".join(
            f'<div class="card"><b>{escape(figure)}</b><span>{escape(name)}</span></div>'
            for figure, name in _cards(result)
        )
        + "</div>"
    )


def quality(result: DemoResult) -> Iterator[str]:
    """Before and after, by the judge and by the truth."""
    rows = [row for row in result.judged if (row.metric, row.k) == ("recall", 10)]
    if not rows:
        return
    rows.sort(key=lambda row: (row.segment != ALL_SEGMENTS, row.segment))
    yield "<h2>Recall at 10, before and after</h2>"
    yield (
        "<p>Of the relevant chunks that either model found, how many stand among the first ten? "
        "Measured on held-out questions whose functions were never trained on, judged by a model "
        "that made none of the training labels. Whiskers are 95 % intervals. The difference is "
        "taken question by question, so its interval is narrower than the two look.</p>"
    )
    yield f"<figure>{_BEFORE_AFTER}{comparison_plot(rows)}</figure>"
    yield "<h2>All figures, and the truth beside them</h2>"
    yield (
        "<p>A product never knows every relevant chunk: the gate sees only what the two models "
        "retrieved and the judge accepted. The demo does know, because each question is the first "
        "sentence of a function's docstring. So it can check the gate: <em>true</em> figures count "
        "every held-out question, also those whose function neither model found.</p>"
    )
    yield _quality_table(result, [row for row in result.judged if row.segment == ALL_SEGMENTS])
    parts = [row for row in result.judged if row.segment != ALL_SEGMENTS]
    if parts:
        parts.sort(key=lambda row: row.segment)
        yield f"<details><summary>Per segment</summary>{_quality_table(result, parts)}</details>"
    if result.prometheus is not None:
        before, after = result.prometheus
        yield (
            f"<p>Prometheus reads the same from the trainer's <code>/metrics</code>: "
            f"<code>ragwheel_retrieval_quality</code> recall@10 {before:.3f} → {after:.3f}.</p>"
        )


def rank_shift(result: DemoResult) -> Iterator[str]:
    """Where the right chunks stood and stand."""
    if not result.shifts:
        return
    up = sum(shift.after < shift.before for shift in result.shifts)
    down = sum(shift.after > shift.before for shift in result.shifts)
    yield "<h2>Where the right chunk stood, and stands</h2>"
    yield (
        f"<p>The rank of the one right chunk among all {result.chunks:,}, for each of "
        f"{len(result.shifts):,} held-out questions: it rose for {up:,}, fell for {down:,} and "
        f"stayed for {len(result.shifts) - up - down:,}. Some of the questions that gained most, "
        "and the two that lost most:</p>"
    )
    yield f"<figure>{ranks.examples_plot(ranks.pick_examples(result.shifts))}</figure>"
    yield "<p>Share of held-out questions whose answer is among the first k results:</p>"
    yield f"<figure>{_BEFORE_AFTER}{ranks.recall_curve(result.shifts)}</figure>"
    yield (
        "<p>Each point is a question. Above the diagonal the trained model puts the answer "
        "higher; the dashed lines mark rank 10. Point at one to read it.</p>"
    )
    plot = ranks.shift_scatter(result.shifts, result.chunks)
    yield f'<figure class="narrow">{plot}</figure>'


def funnel(result: DemoResult) -> Iterator[str]:
    """From searches to training examples."""
    yield "<h2>From searches to training data</h2>"
    yield (
        "<p>Only a sample of the traffic is graded, chosen by a hash of the query id, so that the "
        "same searches are chosen on every replay and the sampling probability is known.</p>"
    )
    yield f"<figure>{bars.funnel_plot(result.funnel)}</figure>"


def labels(result: DemoResult) -> Iterator[str]:
    """Grades, statuses, cost."""
    yield "<h2>What the grader said</h2>"
    yield (
        f"<p>{escape(result.grader)} A label without a grade has a status that says why; it is "
        "never counted as irrelevant. Equal questions about equal chunks are graded once: further "
        "askings are answered from the labels that exist.</p>"
    )
    yield f"<figure>{bars.grades_plot(result.labels)}</figure>"
    statuses = sorted({status for one in result.labels for status in one.by_status})
    yield table(
        ("role", *statuses, "not paid again", "cost (demo price)", "labels per second"),
        [
            (
                one.role,
                *(f"{one.by_status.get(status, 0):,}" for status in statuses),
                f"{one.cached_pairs:,}",
                f"${one.cost_usd:.2f}",
                f"{one.total / one.seconds:,.0f}" if one.seconds else "",
            )
            for one in result.labels
        ],
    )


def accounts(result: DemoResult) -> Iterator[str]:
    """What became of every message."""
    yield "<h2>Nothing lost</h2>"
    yield (
        "<p>Every message that the broker accepted either landed in ClickHouse, or was set aside "
        "with a reason and its original bytes, or is in flight. What is none of these is "
        "<em>unaccounted</em> and must be 0.</p>"
    )
    yield table(
        ("topic", "sent", "produced", "landed", "dead-lettered", "in flight", "unaccounted"),
        [
            (
                row.topic,
                "" if row.sent is None else f"{row.sent:,}",
                *(
                    f"{count:,}"
                    for count in (
                        row.produced, row.landed, row.dead_lettered, row.in_flight, row.unaccounted
                    )
                ),
            )
            for row in result.accounts
        ],
    )  # fmt: skip
    if result.dead_letters:
        yield "<p>The demo sends some broken events on purpose, one for each kind of fault:</p>"
        yield table(
            ("topic", "reason", "events", "what is wrong"),
            [
                (one.topic, one.reason, f"{one.count:,}", ranks.clipped(one.detail, 110))
                for one in result.dead_letters
            ],
            words=(0, 1, 3),
            long=3,
        )


def time_spent(result: DemoResult) -> Iterator[str]:
    """Durations."""
    yield f"<h2>Where {result.seconds:.0f} seconds went</h2>"
    yield f"<figure>{bars.steps_plot(result.steps)}</figure>"


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    words: Sequence[int] = (0,),
    long: int | None = None,
) -> str:
    """An HTML table; cells that start with a sign are coloured.

    Args:
        words: columns of text; the others are figures.
        long: the column whose text may wrap.
    """

    def cell(tag: str, column: int, text: str) -> str:
        css = "words" if column in words else ""
        css = "words long" if column == long else css
        if tag == "td" and text[:1] in "+-" and text[1:2].isdigit() and "," not in text:
            css = "up" if text[0] == "+" else "down"
        attribute = f' class="{css}"' if css else ""
        return f"<{tag}{attribute}>{escape(text)}</{tag}>"

    def row(tag: str, cells: Sequence[str]) -> str:
        return "<tr>" + "".join(cell(tag, n, text) for n, text in enumerate(cells)) + "</tr>"

    body = "".join(row("td", cells) for cells in rows)
    return (
        f'<div class="scroll"><table><thead>{row("th", head)}</thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _quality_table(result: DemoResult, rows: Sequence[Comparison]) -> str:
    truth = {(row.metric, row.k, row.segment): row for row in result.truth}
    return table(
        ("segment", "metric", "before", "after", "difference", "relative", "true: before",
         "after", "difference"),
        [
            (
                "all" if row.segment == ALL_SEGMENTS else row.segment,
                row.name,
                *_figures(row),
                f"{row.relative:+.1%}",
                *_figures(truth.get((row.metric, row.k, row.segment))),
            )
            for row in rows
        ],
        words=(0, 1),
    )  # fmt: skip


def _figures(row: Comparison | None) -> tuple[str, str, str]:
    if row is None:
        return "", "", ""
    before, after = (f"{one.value:.3f} ± {_half(one):.3f}" for one in (row.before, row.after))
    return before, after, f"{row.delta.value:+.3f} ± {_half(row.delta):.3f}"


def _half(one: Interval) -> float:
    """Half the width of the interval: what a table has room for."""
    return (one.high - one.low) / 2


def _headline(result: DemoResult) -> str:
    judged = result.of("judged", "recall", 10)
    if result.verdict is None or judged is None:
        return "The run did not reach a verdict."
    what = {
        "promoted": "the new model was promoted",
        "shadow": "the new model runs in shadow",
        "refused": "the new model was refused",
    }.get(result.verdict.action, result.verdict.action)
    return (
        f"Recall@10 on held-out questions: {judged.before.value:.3f} → {judged.after.value:.3f} "
        f"({judged.relative:+.1%}); {what}."
    )


def _cards(result: DemoResult) -> Iterator[tuple[str, str]]:
    truth = result.of("truth", "recall", 10)
    if truth is not None:
        yield f"{truth.relative:+.1%}", "true recall@10 on held-out questions"
    yield f"{sum(row.produced for row in result.accounts):,}", "messages through Kafka"
    yield f"{sum(row.unaccounted for row in result.accounts):,}", "of them unaccounted for"
    yield f"{sum(one.total for one in result.labels):,}", "labels"
    yield f"${sum(one.cost_usd for one in result.labels):.2f}", "cost at the demo's price"
    if result.verdict is not None:
        yield f"{result.verdict.triplets:,}", "triplets trained on"
    if result.search_latency_ms[0]:
        median, high = result.search_latency_ms
        yield f"{median:.1f} ms", f"median search, 95 % under {high:.1f} ms"
    yield f"{result.seconds:.0f} s", "for the whole run"
