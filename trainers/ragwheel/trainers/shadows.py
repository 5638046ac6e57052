"""When a shadow candidate is judged again, and when it is let go. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ragwheel.schemas import identity
from ragwheel.schemas.events import ModelEvent
from ragwheel.trainers.settle import Shadow


@dataclass(frozen=True, slots=True)
class ShadowRules:
    """How long and how often a candidate gets another chance.

    Each look spends some of the proof that is left (`proof.looks`), so looks are rare.

    Attributes:
        least, most: new gate queries between two looks: as many as were missing, within these.
        days: a shadow that is older is let go.
        kept: so many at once, the newest.
    """

    least: int = 20
    most: int = 100
    days: int = 30
    kept: int = 3


def is_ripe(
    shadow: Shadow, answered: int, serving: str | None, gate_share: float, rules: ShadowRules
) -> bool:
    """Whether another look may come to another verdict.

    Args:
        answered: queries with a relevant label by now; `gate_share` of the new ones are held out.
        serving: the promoted model: against another one than was measured, all is open.
    """
    fresh = gate_share * (answered - shadow.answered)
    wanted = min(rules.most, max(rules.least, shadow.missing))
    return serving != shadow.measured or fresh >= wanted


def expired(
    shadows: Sequence[Shadow], now: datetime, rules: ShadowRules
) -> list[tuple[Shadow, str]]:
    """Shadows that are let go, each with the reason."""
    found = []
    for at, shadow in enumerate(shadows):
        if now - shadow.since > timedelta(days=rules.days):
            found.append((shadow, f"unproven for {rules.days} days"))
        elif len(shadows) - at > rules.kept:
            found.append((shadow, f"{rules.kept} newer candidates are in the shadow"))
    return found


def expiry_event(shadow: Shadow, base_model: str, why: str, at: datetime) -> ModelEvent:
    """The event that a shadow was let go."""
    return ModelEvent(
        event_id=identity.digest("expired", shadow.model_id, shadow.since.isoformat()),
        model_id=shadow.model_id,
        incumbent_id=shadow.measured or base_model,
        base_model=base_model,
        action="refused",
        reason=f"let go: {why}",
        ts=at,
    )
