"""The report of a demo run: one HTML file that needs nothing else. Pure: a result in, text out."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from importlib.resources import files

from ragwheel.demo.report import sections
from ragwheel.demo.result import DemoResult

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>ragwheel: one turn of the wheel</title>
<style>
{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def html_report(result: DemoResult) -> str:
    """The whole page."""
    style = files("ragwheel.demo.report").joinpath("style.css").read_text("utf-8")
    return _PAGE.format(style=style, body="\n".join(_body(result)))


def _body(result: DemoResult) -> Iterator[str]:
    yield from sections.opening(result)
    yield from sections.quality(result)
    yield from sections.rank_shift(result)
    yield from sections.funnel(result)
    yield from sections.labels(result)
    yield from sections.accounts(result)
    yield from sections.time_spent(result)
    yield from _closing(result)


def _closing(result: DemoResult) -> Iterator[str]:
    yield (
        f"<footer><p>{escape(result.grader)} Set <code>RAGWHEEL_LLM_BASE_URL</code> and "
        "<code>RAGWHEEL_LLM_API_KEY</code> (and the two model names) to put a real one in its "
        "place. Everything else in this run is the product itself: Apache Kafka, the ClickHouse "
        "engine, the <code>openai</code> client over HTTP, all-MiniLM-L6-v2.</p>"
        f"<p>Started {result.started_at:%Y-%m-%d %H:%M:%S} UTC, scale {escape(result.scale)}, "
        f"seed {result.seed}.</p></footer>"
    )
