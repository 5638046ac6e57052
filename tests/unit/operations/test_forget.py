"""What can be forgotten, and that it is asked first."""

from __future__ import annotations

import io
import re

import pytest

from ragwheel.cli.main import main
from ragwheel.operations import forget
from ragwheel.operations.forget import Subject
from ragwheel.schemas.errors import ConfigError


@pytest.mark.parametrize(
    ("subject", "said"),
    [
        (Subject(), "exactly one of --user"),
        (Subject(user="u", query_id="q"), "exactly one of --user"),
        (Subject(content_hash="io.open"), "--content-hash 'io.open'"),
        (Subject(content_hash="A" * 32), "hexadecimal"),
    ],
)
def test_a_subject_that_names_nothing_or_two_things_is_refused(subject: Subject, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        subject.check()


@pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("YES\n", 0), ("n\n", 1), ("", 1)])
def test_nothing_is_changed_before_somebody_says_yes(
    answer: str,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs: list[bool] = []

    def fake(_: object, subject: Subject, *, dry_run: bool = False, **__: object) -> object:
        assert subject == Subject(user="u-1")
        runs.append(dry_run)
        return forget.ForgetReport(dry_run, 2, [forget.TableErasure("queries", 2, 0)])

    monkeypatch.setattr(forget, "forget", fake)
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    assert main(["forget", "--user", "u-1"]) == status
    assert runs == ([True, False] if status == 0 else [True])
    shown = capsys.readouterr()
    assert "queries: 2 rows would be deleted" in shown.err
    assert ("queries: 2 rows deleted" in shown.out) == (status == 0)
