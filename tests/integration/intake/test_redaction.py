"""With redaction, a real intake process stores nothing that a rule finds, in any column."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from tests.integration.operations.test_forget import places_of, unaccounted
from tests.rigs.examples import NOW, query, retrieval
from tests.rigs.intake import IntakeRig

from ragwheel.schemas.events import Candidate, ChunkEvent, FeedbackEvent
from ragwheel.stack.processes import ProcessFailedError

pytestmark = [pytest.mark.integration, pytest.mark.spread]

MAIL = "ann@example.org"


def test_what_a_rule_finds_is_in_no_column_and_nothing_is_lost(rig: IntakeRig) -> None:
    rig.start(redact_rules="common", sample_rate=1.0)
    found = (Candidate(chunk_id="c", rank=1, score=0.5, text=f"by {MAIL}"),)
    rig.emit("queries", [query(text=MAIL, user=MAIL, attributes={MAIL: MAIL}, more=[MAIL])])
    rig.emit("retrievals", [retrieval(query=MAIL, candidates=found, more=MAIL)])
    rig.emit("feedback", [FeedbackEvent.model_validate(
        {"query_id": "q-1", "ts": NOW, "kind": "custom", "said": MAIL}
    )])  # fmt: skip
    rig.emit("chunks", [ChunkEvent(chunk_id="c", text=f"by {MAIL}", ts=NOW, source=MAIL)])
    for payload in (
        orjson.dumps({"event": "query", "query_id": "q", "text": MAIL, "ts": "never"}),
        b'{"text": "' + MAIL.encode(),
        b"\xff" + MAIL.encode(),
    ):
        rig.produce("queries", payload, MAIL.encode())
    rig.flush()
    rig.settle()
    accounts = rig.settle()  # the dead letters too
    assert places_of(rig, (MAIL, "example.org")) == {}
    assert unaccounted(accounts) == {}
    assert (accounts["queries"].landed, accounts["queries"].dead_lettered) == (1, 3)
    assert rig.rows("SELECT text FROM v_chunks") == [("by <email>",)]
    assert rig.rows("SELECT query FROM v_grading_jobs") == [("<email>",)]
    letters = rig.rows("SELECT payload IS NULL, key, count() FROM v_dead_letters GROUP BY ALL")
    assert sorted(letters) == [(0, "<email>", 1), (1, "<email>", 2)]


def test_a_rule_that_cannot_be_used_ends_the_start_by_name(rig: IntakeRig, tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text("[mine]\npattern = '('\nreplacement = 'x'\n")
    with pytest.raises(ProcessFailedError, match="exit status 78"):
        rig.start(redact_rules=tmp_path / "rules.toml")
    (line,) = rig.log().splitlines()
    assert "RAGWHEEL_REDACT_RULES" in line
    assert "rule 'mine'" in line
