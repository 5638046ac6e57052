"""A small canvas that writes SVG. Colours are CSS classes, so that a page's theme decides them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape


class Canvas:
    """Collects shapes; all lengths are in user units, y grows downwards.

    Args:
        label: what a screen reader says instead of the picture.
    """

    def __init__(self, width: float, height: float, label: str) -> None:
        self._size = f"{width:g} {height:g}"
        self._label = label
        self._shapes: list[str] = []

    def text(self, x: float, y: float, text: str, css: str = "", *, anchor: str = "start") -> None:
        """Write text with its baseline at `y`."""
        self._shapes.append(
            f'<text x="{x:.1f}" y="{y:.1f}" class="{css}" text-anchor="{anchor}">'
            f"{escape(text)}</text>"
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, css: str) -> None:
        """Draw a straight line."""
        self._shapes.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{css}"/>'
        )

    def rect(
        self, x: float, y: float, width: float, height: float, css: str, tip: str = ""
    ) -> None:
        """Draw a box with slightly round corners; `tip` shows when pointed at."""
        self._shapes.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{height:.1f}"'
            f' rx="2" class="{css}">{_tip(tip)}</rect>'
        )

    def dot(self, x: float, y: float, radius: float, css: str, tip: str = "") -> None:
        """Draw a filled circle."""
        self._shapes.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" class="{css}">{_tip(tip)}</circle>'
        )

    def path(self, points: Sequence[tuple[float, float]], css: str) -> None:
        """Draw straight lines from point to point."""
        steps = " L".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._shapes.append(f'<path d="M{steps}" class="{css}"/>')

    def arrow(self, x1: float, x2: float, y: float, css: str) -> None:
        """Draw a horizontal arrow from `x1` to `x2`."""
        self.line(x1, y, x2, y, css)
        back = 6.0 if x2 < x1 else -6.0
        self.path([(x2 + back, y - 4), (x2, y), (x2 + back, y + 4)], css)

    def render(self) -> str:
        """The `<svg>` element."""
        label = escape(self._label, quote=True)
        return (
            f'<svg viewBox="0 0 {self._size}" role="img" aria-label="{label}">'
            + "".join(self._shapes)
            + "</svg>"
        )


def _tip(text: str) -> str:
    return f"<title>{escape(text)}</title>" if text else ""
