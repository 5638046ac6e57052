"""What is promoted serves; what fails any check does not, and the old model stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.rigs.following import DeclaredHere, Promoting
from tests.rigs.trainer_world import save_base_model

from ragwheel.backends.telemetry import Telemetry
from ragwheel.schemas import metrics
from ragwheel.schemas.errors import UnavailableError
from ragwheel.serving.follow import ModelFollower

TEXTS = ["ask1 ask2", "ask3"]


@pytest.fixture
def promoting(tmp_path: Path) -> Promoting:
    return Promoting.at(tmp_path)


def refusals(follower: ModelFollower, reason: str) -> float:
    return follower._telemetry.value(metrics.SERVING_REFUSALS, reason=reason)


def test_the_base_model_serves_until_something_is_promoted(promoting: Promoting) -> None:
    with promoting.follower() as follower:
        serving = follower.current()
        assert (serving.model_id, serving.query is serving.document) == (promoting.base, True)
        model_id = promoting.train(1)
        promoting.promote(model_id)
        follower.look()
        serving, state = follower.current(), follower.state()
        assert (serving.model_id, state.alias, state.swaps) == (model_id, model_id, 1)
        assert serving.document_fingerprint == promoting.encoder().fingerprint
        documents = promoting.encoder().encode(TEXTS, "document")
        np.testing.assert_array_equal(serving.document.encode(TEXTS, "document"), documents)
        assert not np.allclose(serving.query.encode(TEXTS, "query"), documents, atol=1e-2)


def test_a_rollback_is_served(promoting: Promoting) -> None:
    one, two = promoting.train(1), promoting.train(2)
    promoting.promote(one)
    with promoting.follower() as follower:
        promoting.promote(two)
        follower.look()
        seen = [follower.current().model_id]
        for _ in range(2):
            promoting.roll_back()
            follower.look()
            seen.append(follower.current().model_id)
    assert seen == [two, one, promoting.base]


def test_what_was_read_before_a_swap_stays_one_model(promoting: Promoting) -> None:
    with promoting.follower() as follower:
        before = follower.current()
        vectors = before.query.encode(TEXTS, "query")
        promoting.promote(promoting.train(1))
        follower.look()
        assert follower.current() is not before
        np.testing.assert_array_equal(before.query.encode(TEXTS, "query"), vectors)
        assert follower.current().query.fingerprint != before.query.fingerprint


@pytest.mark.parametrize("broken", ["weights", "manifest", "gone"])
def test_a_broken_artifact_is_refused_and_the_old_model_stays(
    promoting: Promoting, broken: str
) -> None:
    one, two = promoting.train(1), promoting.train(2)
    promoting.promote(one)
    with promoting.follower() as follower:
        promoting.promote(two)
        folder = Path(promoting.store.url_of(two).removeprefix("file://"))
        if broken == "weights":
            next(folder.rglob("*.safetensors")).write_bytes(b"x")
        elif broken == "manifest":
            (folder / "manifest.json").write_text("{}")
        else:
            (folder / "manifest.json").unlink()
        follower.look()
        assert follower.current().model_id == one
        assert follower.state().last_refusal.startswith("artifact: ")
        assert two in follower.state().last_refusal
        follower.look()
        assert refusals(follower, "artifact") == 1, "told once, whatever the number of looks"
        promoting.roll_back()
        follower.look()
        assert follower.current().model_id == one


def test_a_model_that_computes_other_vectors_than_at_registration_is_refused(
    promoting: Promoting,
) -> None:
    one = promoting.train(1)
    promoting.promote(one)
    with promoting.follower() as follower:
        promoting.promote(promoting.train(2, canaries_of=3))
        follower.look()
        assert follower.current().model_id == one
        assert "otherwise than when it was registered" in follower.state().last_refusal
        assert refusals(follower, "canaries") == 1


def test_two_spaces_of_one_dimension_are_never_mixed(promoting: Promoting, tmp_path: Path) -> None:
    """The index holds vectors of our base model, the promoted model is of another one."""
    other = save_base_model(tmp_path / "other base", seed=9)
    one, two = promoting.train(1), promoting.train(2, base=other)
    promoting.promote(one)
    with promoting.follower() as follower:
        assert follower.current().query.dimension == 64
        promoting.promote(two)
        follower.look()
        assert follower.current().model_id == one
        refusal = follower.state().last_refusal
        assert refusal.startswith("documents: ")
        assert "whatever their dimension" in refusal
        assert refusals(follower, "documents") == 1


def test_no_model_serves_an_index_of_other_documents(promoting: Promoting) -> None:
    with promoting.follower(DeclaredHere("another space")) as follower:
        assert not follower.state().ready
        with pytest.raises(UnavailableError, match="no model serves yet: documents"):
            follower.current()


def test_an_index_that_declares_nothing_is_served_by_models_of_our_base_alone(
    promoting: Promoting, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = save_base_model(tmp_path / "other base", seed=9)
    one, two = promoting.train(1), promoting.train(2, base=other)
    promoting.promote(one)
    with promoting.follower(DeclaredHere("")) as follower:
        assert follower.current().model_id == one
        assert "declares no document_fingerprint" in caplog.text
        assert follower._telemetry.value(metrics.SERVING_SWAPS, outcome="undeclared") == 1
        promoting.promote(two)
        follower.look()
        assert follower.current().model_id == one
        assert refusals(follower, "undeclared") == 1


def test_while_clickhouse_is_down_the_old_model_stays_and_a_restart_serves_it(
    promoting: Promoting,
) -> None:
    one, two = promoting.train(1), promoting.train(2)
    promoting.promote(one)
    declared = DeclaredHere(promoting.encoder().fingerprint)
    with promoting.follower(declared) as follower:
        declared.fingerprint = None
        promoting.promote(two)
        follower.look()
        assert (follower.current().model_id, follower.state().alias) == (one, two)
        assert refusals(follower, "unreachable") == 1
    with promoting.follower(declared) as again:
        assert again.current().model_id == one
        declared.fingerprint = promoting.encoder().fingerprint
        again.look()
        assert again.current().model_id == two


def test_without_store_and_topic_what_served_last_serves_else_the_base_model(
    promoting: Promoting,
) -> None:
    one = promoting.train(1)
    promoting.promote(one)
    gone = f"file://{promoting.folder}/gone"
    with promoting.follower(artifacts=gone) as follower:
        assert follower.current().model_id == promoting.base
    with promoting.follower() as follower:
        assert follower.current().model_id == one
    with promoting.follower(artifacts=gone) as follower:
        assert follower.current().model_id == one


def test_a_trainers_path_of_the_base_model_need_not_exist_here(
    promoting: Promoting, tmp_path: Path
) -> None:
    theirs = save_base_model(tmp_path / "only there")
    model_id = promoting.train(1, base=theirs)
    promoting.promote(model_id)
    (tmp_path / "only there").rename(tmp_path / "moved")
    with promoting.follower() as follower:
        assert follower.current().model_id == model_id


def test_a_canary_answers_its_share_of_query_ids_and_more_as_it_grows(
    promoting: Promoting,
) -> None:
    one, two = promoting.train(1), promoting.train(2)
    promoting.promote(one)
    promoting.shadow(two)
    ids = [f"q-{number}" for number in range(2_000)]
    before: set[str] = set()
    for share in (0.0, 0.1, 0.5, 1.0):
        with promoting.follower(serving_candidate=two, serving_canary_share=share) as follower:
            chosen = {each for each in ids if follower.serving(each).model_id == two}
            assert chosen == {each for each in ids if follower.serving(each).model_id == two}
            assert follower.serving(None).model_id == one
            candidate = follower.state().candidate
            assert candidate is not None
            assert candidate.model_id == two
        assert abs(len(chosen) / len(ids) - share) < 0.04
        assert before <= chosen
        before = chosen


def test_a_candidate_that_is_refused_leaves_what_serves_alone(promoting: Promoting) -> None:
    one, two = promoting.train(1), promoting.train(2, canaries_of=5)
    promoting.promote(one)
    promoting.shadow(two)
    with promoting.follower(serving_candidate=two, serving_canary_share=1.0) as follower:
        assert follower.serving("q-1").model_id == one
        assert follower.state().candidate is None
        assert follower.state().last_refusal.startswith("canaries")


def test_telemetry_counts_what_served_and_what_was_refused(promoting: Promoting) -> None:
    telemetry = Telemetry("server")
    declared = DeclaredHere(promoting.encoder().fingerprint)
    with ModelFollower(
        promoting.settings(), telemetry, declarations=declared, listen=False, look_s=3_600
    ) as follower:
        promoting.promote(promoting.train(1))
        follower.look()
        promoting.promote(promoting.train(2, canaries_of=1))
        follower.look()
        name = follower.current().model_id
    assert telemetry.value(metrics.SERVING_SWAPS, outcome="served") == 2
    assert telemetry.value(metrics.SERVING_SWAPS, outcome="refused") == 1
    assert (
        telemetry.value(metrics.SERVED_MODEL, model=name, documents=promoting.encoder().fingerprint)
        == 1
    )
