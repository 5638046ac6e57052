"""What is told of one model, and of the difference between two."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.rigs.following import Promoting
from tests.unit.models.test_registry import add

from ragwheel.models.registry import ModelRegistry, RegistryError
from ragwheel.operations.explaining import Difference, RankMove, diff, explain
from ragwheel.trainers.trainer import require_promotable


def report(action: str, gain: float) -> dict[str, object]:
    interval = {"value": gain, "low": gain - 0.1, "high": gain + 0.1}
    figure = {"metric": "recall", "k": 10, "segment": "*", "system": "delta", "queries": 300}
    moves = [{"query": f"q{n}", "before": 90 - n, "after": 2} for n in range(5)]
    return {
        "at": "2026-01-31T12:00:00+00:00", "verdict": {"action": action, "reason": "because"},
        "figures": [figure | {"interval": interval}], "said": ["queries    train 7"],
        "changes": {"code": {"better": moves, "worse": moves[:1]}},
    }  # fmt: skip


def test_a_model_is_told_with_verdict_figures_and_what_moved(tmp_path: Path) -> None:
    registry = ModelRegistry(tmp_path)
    model_id = add(registry)
    assert (explain(registry, model_id).verdict, explain(registry, model_id).figures) == ("", [])
    registry.save_report(model_id, report("refused", -0.2))
    found = explain(registry, model_id)
    assert (found.verdict, found.reason, found.serving) == ("refused", "because", False)
    assert [(each.metric, each.value) for each in found.figures] == [("recall@10", -0.2)]
    assert len(found.better) == 3
    assert found.worse == [RankMove("code", "q0", 90, 2)]
    assert found.manifest["dimension"] == "2"


def test_two_models_differ_in_what_is_not_equal(tmp_path: Path) -> None:
    promoting = Promoting.at(tmp_path)
    one, two = promoting.train(1), promoting.train(2)
    registry = promoting.registry
    registry.save_report(one, report("promoted", 0.2))
    registry.save_report(two, report("promoted", 0.1))
    found = diff(registry, one, two)
    assert found.differences == [
        Difference("figures.recall@10 * delta", "0.2000", "0.1000"), Difference("seed", "1", "2"),
    ]  # fmt: skip
    query, document = found.canary_cosine
    assert (document.least, document.mean) == pytest.approx((1.0, 1.0), abs=1e-5)
    assert query.least < 0.99
    assert diff(registry, one, one).differences == []


def test_models_without_canaries_have_no_cosine(tmp_path: Path) -> None:
    registry = ModelRegistry(tmp_path)
    assert diff(registry, add(registry, "one"), add(registry, "two")).canary_cosine == []


@pytest.mark.parametrize(
    ("verdict", "force", "refused"),
    [
        ("promoted", False, ""), ("shadow", False, ""), ("refused", True, ""), ("", True, ""),
        ("refused", False, "was refused by its gate .* --force"),
        ("", False, "was decided on by no gate"),
    ],
)  # fmt: skip
def test_by_hand_only_what_no_gate_refused_is_promoted_without_force(
    tmp_path: Path, verdict: str, force: bool, refused: str
) -> None:
    registry = ModelRegistry(tmp_path)
    model_id = add(registry)
    if verdict:
        registry.save_report(model_id, report(verdict, 0.1))
    if not refused:
        require_promotable(registry, model_id, force=force)
        return
    with pytest.raises(RegistryError, match=refused):
        require_promotable(registry, model_id, force=force)


def test_what_serves_or_was_rolled_back_is_not_promoted_by_force(tmp_path: Path) -> None:
    promoting = Promoting.at(tmp_path)
    model_id = promoting.train(1)
    promoting.promote(model_id)
    with pytest.raises(RegistryError, match="is promoted already"):
        require_promotable(promoting.registry, model_id, force=True)
    promoting.roll_back()
    with pytest.raises(RegistryError, match=f"ragwheel models allow {model_id}"):
        require_promotable(promoting.registry, model_id, force=True)
