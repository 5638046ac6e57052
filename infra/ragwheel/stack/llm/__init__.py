"""A local OpenAI-compatible server that stands in for an LLM in tests and in the demo."""

from ragwheel.stack.llm.brains import GoldGrader, OverlapGrader, gold_json, load_gold, passage_key
from ragwheel.stack.llm.chat import LlmServer
from ragwheel.stack.llm.faults import FAULT_KINDS, Fault, Faults
from ragwheel.stack.llm.manners import LatencySpread, Manners

__all__ = [
    "FAULT_KINDS",
    "Fault",
    "Faults",
    "GoldGrader",
    "LatencySpread",
    "LlmServer",
    "Manners",
    "OverlapGrader",
    "gold_json",
    "load_gold",
    "passage_key",
]
