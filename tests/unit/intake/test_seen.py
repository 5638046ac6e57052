"""The memory of landed chunk texts."""

from __future__ import annotations

from ragwheel.intake.seen import LandedChunks


def test_what_was_used_longest_ago_is_forgotten_first() -> None:
    landed = LandedChunks(capacity=2)
    landed.add(["a", "b"])
    assert "a" in landed  # use makes it young again
    landed.add(["c"])
    assert ["a" in landed, "b" in landed, "c" in landed] == [True, False, True]


def test_adding_what_is_known_keeps_its_place_in_the_memory() -> None:
    landed = LandedChunks(capacity=2)
    landed.add(["a", "b", "a", "c"])
    assert ["a" in landed, "b" in landed, "c" in landed] == [True, False, True]
