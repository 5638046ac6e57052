"""`ragwheel models export` in words."""

from __future__ import annotations

from ragwheel.operations.model_exports import ExportedModel


def exported_model(report: ExportedModel) -> str:
    """Where it is, by which figures, and how it is loaded."""
    lines = [f"{report.model_id}, {report.side} side, is in {report.to}"]
    lines += [
        f"  {name.replace('_', ' '):<14} {value:.4g}" for name, value in report.measured.items()
    ]
    card = "its README.md" if report.form != "hub" else "the card there"
    return "\n".join([*lines, f"{card} says how to load it, and what was proven"])
