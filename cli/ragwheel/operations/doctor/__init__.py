"""Checks of everything that ragwheel needs on this machine, each with the way to repair it."""

from ragwheel.operations.doctor.checks import examine
from ragwheel.operations.doctor.finding import Finding, Level

__all__ = ["Finding", "Level", "examine"]
