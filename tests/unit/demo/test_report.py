"""What a run shows at its end is complete, true to the result, and needs nothing from outside."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from tests.unit.demo.demo_results import CHUNK_IDS, SHIFTS, result, served, shift, verdict

from ragwheel.demo.outcome import DemoResult
from ragwheel.demo.report.page import html_report
from ragwheel.demo.report.ranks import clipped, pick_examples
from ragwheel.demo.summary import summary
from ragwheel.demo.terminal import Terminal

_VOID = {"meta", "br", "hr"}


def printed(result: DemoResult) -> str:
    """What `summary` looks like in a log."""
    out = io.StringIO()
    Terminal(out).say(*summary(result))
    return out.getvalue()


class Balance(HTMLParser):
    """Collects tags that are closed wrongly, and everything that would be loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _VOID:
            self.open.append(tag)
        self.loads += [f"{tag} {name}={value}" for name, value in attrs if name in ("src", "href")]
        if tag in ("script", "link", "img", "iframe", "object"):
            self.loads.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Self-closing SVG shapes open nothing."""

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def test_the_page_is_whole_and_loads_nothing() -> None:
    page = html_report(result())
    balance = Balance()
    balance.feed(page)

    assert balance.wrong == []
    assert balance.open == []
    assert balance.loads == []
    assert "url(" not in page
    assert "@import" not in page


def test_the_page_says_that_the_grader_stands_in_and_how_to_put_a_real_one_in_place() -> None:
    page = html_report(result())

    assert "The demo grader stands in for an LLM." in page
    assert "RAGWHEEL_LLM_BASE_URL" in page
    assert "RAGWHEEL_LLM_API_KEY" in page


def test_text_of_the_corpus_cannot_break_the_page() -> None:
    page = html_report(result())

    assert "copy&lt;tree&gt;" in page
    assert "copy<tree>" not in page
    assert "twenty &amp; is" in page


def test_the_headline_states_figures_and_verdict() -> None:
    page = html_report(result())

    assert "0.700 → 0.780 (+11.4%); the new model was promoted." in page


def test_a_refusal_is_told_as_one() -> None:
    refused = replace(
        result(),
        verdict=verdict("refused", "files fell"),
        served=served("base", promoted=False),
    )

    page = html_report(refused)

    assert "the new model was refused" in page
    assert page.replace("nothing was promoted", "").count("promoted") == 0


def test_problems_are_shown_in_page_and_summary() -> None:
    failed = result(problems=("queries: 1 messages are unaccounted for",))

    assert "verdict bad" in html_report(failed)
    assert "✗ queries: 1 messages are unaccounted for" in html_report(failed)
    assert "✗ queries: 1 messages are unaccounted for" in printed(failed)


@pytest.mark.parametrize(
    "missing",
    [
        {"judged": (), "truth": (), "verdict": None, "prometheus": None, "shifts": ()},
        {"shifts": (SHIFTS[1],)},
        {"labels": (), "accounts": (), "dead_letters": (), "funnel": (), "steps": ()},
        {"served": None},
    ],
)
def test_a_run_that_ended_early_still_has_a_page_and_a_summary(missing: dict[str, object]) -> None:
    partial = replace(result(), **missing)  # type: ignore[arg-type]  # each field by its name
    balance = Balance()
    balance.feed(html_report(partial))

    assert balance.wrong == []
    assert printed(partial)


def test_plots_stay_inside_their_frames() -> None:
    page = html_report(result())

    for svg in re.findall(r'<svg viewBox="0 0 ([\d.]+) ([\d.]+)".*?</svg>', page, re.DOTALL):
        assert all(float(side) > 0 for side in svg)
    coordinates = [float(x) for x in re.findall(r' (?:x|y|cx|cy|x1|x2|y1|y2)="([-\d.]+)"', page)]
    assert len(coordinates) > 150
    assert min(coordinates) >= 0
    assert max(coordinates) <= 920
    for began, width in re.findall(r"margin-left:([\d.]+)%;width:([\d.]+)%", page):
        assert float(began) + float(width) <= 100
    assert all(float(width) <= 100 for width in re.findall(r"[\";]width:([\d.]+)%", page))


def test_the_summary_has_every_part_that_was_asked_for() -> None:
    text = printed(result())

    for part in (
        "queries",
        "8,050",
        "dead-lettered",
        "unaccounted",
        "3 not_utf8",
        "graded",
        "refused",
        "$1.25",
        "triplets trained on: 24,000",
        "recall@1 ",
        "recall@5 ",
        "recall@10",
        "MRR@10",
        "0.700 [0.670, 0.730]",
        "+0.080 [+0.060, +0.100]",
        "files",
        "Prometheus",
        "0.700 → 0.780",
        "Asked over HTTP: 'Was at twenty & is at five.'; model m1 answers, which this run promoted",
        "  0.610  os:walk",
        "✓ 0.740  shutil:copy<tree>",
        "Verdict: promoted.",
        "never trained on: 0.600 → 0.680 (+13.3%)",
    ):
        assert part in text, part


def test_tables_of_the_summary_are_no_wider_than_they_must_be() -> None:
    lines = [line.rstrip() for line in printed(result()).splitlines()]

    events, labels = (lines[lines.index(title) + 1 :][:4] for title in ("Events", "Labels"))
    assert max(map(len, events)) <= 80
    assert max(map(len, labels)) <= 100
    assert max(map(len, lines)) <= 125


def test_examples_are_gains_that_a_user_notices_then_losses() -> None:
    chosen = pick_examples(SHIFTS)

    assert [CHUNK_IDS[one.chunk_hash] for one in chosen] == ["shutil:copy<tree>", "re:match"]


def test_examples_come_from_many_segments() -> None:
    shifts = [shift(f"q{n}", f"c{n}", "files", 20, 5) for n in range(20)]
    shifts += [shift(f"p{n}", f"d{n}", f"segment-{n}", 40, 4) for n in range(4)]

    assert len({one.segment for one in pick_examples(shifts, gains=8)}) == 5


def test_clipping_keeps_short_texts_and_marks_cut_ones() -> None:
    assert clipped("a  b\n c", 10) == "a b c"
    assert clipped("abcdefgh", 5) == "abcd…"
