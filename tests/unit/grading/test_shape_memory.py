"""What a server takes is remembered by address, model and wish; a broken file is no file."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ragwheel.grading.endpoint.memory import LearntShape, first_shape, recall, remember
from ragwheel.grading.endpoint.request import RequestShape

_URL = "http://here/v1"
_WISHED = RequestShape()
_TAKEN = RequestShape(response_format="json_object", temperature=None, limit_field="max_tokens")


def _learnt(age: timedelta = timedelta()) -> LearntShape:
    return LearntShape(_URL, "m", _WISHED, _TAKEN, datetime.now(UTC) - age)


def test_a_start_begins_with_what_the_server_took(tmp_path: Path) -> None:
    assert first_shape(tmp_path, _URL, "m", _WISHED) == _WISHED
    remember(tmp_path / "new", _learnt())
    assert first_shape(tmp_path / "new", _URL, "m", _WISHED) == _TAKEN


@pytest.mark.parametrize(
    ("url", "model", "wished"),
    [
        ("http://there/v1", "m", _WISHED),
        (_URL, "other", _WISHED),
        (_URL, "m", RequestShape(temperature=1.0)),
    ],
)
def test_another_address_model_or_wish_was_not_learnt_about(
    tmp_path: Path, url: str, model: str, wished: RequestShape
) -> None:
    remember(tmp_path, _learnt())
    assert first_shape(tmp_path, url, model, wished) == wished


def test_after_a_month_everything_is_tried_again(tmp_path: Path) -> None:
    remember(tmp_path, _learnt(timedelta(days=31)))
    assert recall(tmp_path, _URL, "m", _WISHED) is not None
    assert first_shape(tmp_path, _URL, "m", _WISHED) == _WISHED


@pytest.mark.parametrize("content", [b"", b"[]", b'{"base_url": 1}', b"{}"])
def test_a_broken_file_is_no_file(tmp_path: Path, content: bytes) -> None:
    remember(tmp_path, _learnt())
    (path,) = tmp_path.iterdir()
    path.write_bytes(content)
    assert recall(tmp_path, _URL, "m", _WISHED) is None


def test_a_folder_that_cannot_be_written_is_told_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    remember(tmp_path / "file", _learnt())
    assert "what m takes is not remembered" in caplog.text
