"""What the graders' /metrics say about models that take no calls."""

from prometheus_client import generate_latest

from ragwheel.backends.telemetry import Telemetry
from ragwheel.operations.breakers import HeldModel, held_models, in_metrics
from ragwheel.operations.running import ProcessState
from ragwheel.schemas import metrics


def test_models_whose_circuit_is_not_closed_are_found_with_state_and_reason() -> None:
    telemetry = Telemetry("grader")
    telemetry.set(metrics.LLM_BREAKER, 1, model="fine", state="closed", reason="none")
    telemetry.set(metrics.LLM_BREAKER, 1, model="gone", state="half_open", reason="http_404")
    telemetry.set(metrics.LLM_BREAKER, 0, model="gone", state="open", reason="http_404")
    told = generate_latest(telemetry.registry).decode()
    assert in_metrics("grader", told) == [HeldModel("grader", "gone", "half_open", "http_404")]


def test_a_process_without_metrics_or_that_is_down_is_passed_over() -> None:
    assert held_models([ProcessState("a", None, "l"), ProcessState("b", 1, "l")]) == []
