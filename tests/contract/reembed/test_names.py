"""What versions of an index are called."""

from __future__ import annotations

import re

from ragwheel.reembed.indexes.contracts import physical_name


def test_a_version_has_a_name_that_every_store_takes() -> None:
    assert physical_name("chunks", "v2") == "chunks__v2"
    for name, version in [("Chunks", "v2"), ("my-chunks", "2026-11-25"), ("a" * 40, "b" * 40)]:
        assert re.fullmatch(r"[a-z0-9_]{1,63}", physical_name(name, version))


def test_no_two_versions_share_a_name() -> None:
    said = [("chunks", "v-2"), ("chunks", "v_2"), ("chunks", "V_2"), ("c" * 40, "v" * 30 + "1"),
            ("c" * 40, "v" * 30 + "2")]  # fmt: skip
    assert len({physical_name(*each) for each in said}) == len(said)
