"""What ragwheel talks to: broker, database, LLM endpoint."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Collection
from contextlib import closing

import orjson

from ragwheel.backends.clickhouse import connect
from ragwheel.backends.kafka import missing_topics
from ragwheel.backends.migrate import pending
from ragwheel.operations.doctor.finding import Finding, fail, failed, ok, warn
from ragwheel.operations.extras import missing_packages
from ragwheel.schemas.errors import RagwheelError
from ragwheel.schemas.identity import family_of, is_stand_in
from ragwheel.schemas.settings import ClickHouseSettings, GraderSettings, KafkaSettings

_TIMEOUT_S = 10.0
_LLM_FIX = (
    "set RAGWHEEL_LLM_BASE_URL, RAGWHEEL_LLM_API_KEY, RAGWHEEL_LLM_MODEL and RAGWHEEL_JUDGE_MODEL"
)
_START = "start a stack with `ragwheel up`, or set"


def broker(settings: KafkaSettings, *, configured: bool) -> Finding:
    """Whether a broker answers and has our topics."""
    address = settings.kafka_bootstrap_servers
    if not configured:
        return _nobody_asked("kafka", f"{_START} RAGWHEEL_KAFKA_BOOTSTRAP_SERVERS")
    try:
        missing = missing_topics(settings)
    except RagwheelError as error:
        return failed("kafka", error)
    if missing:
        return warn("kafka", f"{address} lacks {', '.join(missing)}", "ragwheel topics")
    return ok("kafka", f"{address} answers and has all topics")


def database(settings: ClickHouseSettings, *, configured: bool) -> Finding:
    """Whether ClickHouse answers and has our tables."""
    if not configured:
        return _nobody_asked("clickhouse", f"{_START} RAGWHEEL_CLICKHOUSE_URL")
    try:
        with closing(connect(settings)) as client:
            version, missing = client.server_version, pending(client)
    except RagwheelError as error:
        return failed("clickhouse", error)
    if missing:
        return warn(
            "clickhouse", f"{version} lacks {len(missing)} migration(s)", "ragwheel migrate"
        )
    return ok("clickhouse", f"{version} answers and has all tables")


def llm(settings: GraderSettings, *, configured: bool) -> Finding:
    """Whether the LLM's endpoint takes the key and knows the models. Costs nothing.

    Args:
        configured: what grades runs already, or elsewhere: its key need not be known here.
    """
    key, base = settings.llm_api_key.get_secret_value(), settings.llm_base_url
    url = base.rstrip("/") + "/models"
    if is_stand_in(settings.llm_model):
        return warn("llm", f"{base} is a stand-in, no LLM: its grades train nothing", _LLM_FIX)
    if not key:
        said = settings.model_fields_set & {"llm_base_url", "llm_model", "judge_model"}
        if not said:
            return warn("llm", "none is configured; `ragwheel up` grades with a stand-in", _LLM_FIX)
        level = warn if configured else fail
        fix = 'set RAGWHEEL_LLM_API_KEY, to "none" if the endpoint wants none'
        return level("llm", f"no key for {base}", fix)
    if not url.startswith(("http://", "https://")):
        return fail("llm", f"{settings.llm_base_url!r} is no URL", "set RAGWHEEL_LLM_BASE_URL")
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})  # noqa: S310 - scheme checked above
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - as above
            known = {model["id"] for model in orjson.loads(answer.read())["data"]}
    except urllib.error.HTTPError as error:
        fix = "check RAGWHEEL_LLM_API_KEY" if error.code in (401, 403) else "check the endpoint"
        return fail("llm", f"{url} answers {error.code} {error.reason}", fix)
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError) as error:
        return fail("llm", f"{url}: {error}", "check RAGWHEEL_LLM_BASE_URL")
    return labeler_and_judge(settings, known)


def labeler_and_judge(settings: GraderSettings, known: Collection[str]) -> Finding:
    """Whether the endpoint serves labeler and judge, and these can err independently."""
    labeler, judge = settings.llm_model, settings.judge_model
    unknown = [name for name in (labeler, judge) if name not in known]
    if unknown:
        return warn(
            "llm",
            f"{settings.llm_base_url} does not list {', '.join(unknown)}",
            "set RAGWHEEL_LLM_MODEL and RAGWHEEL_JUDGE_MODEL to models it serves",
        )
    family = family_of(labeler)
    if family and family == family_of(judge):
        return warn(
            "llm",
            f"{labeler} labels and {judge} judges: both are of the family {family!r}, and siblings "
            "share errors, which the judge then does not see",
            "set RAGWHEEL_JUDGE_MODEL to a model of another family",
        )
    asked = [f"{name}{_asked_with(settings, name)}" for name in (labeler, judge)]
    return ok("llm", f"{settings.llm_base_url} serves {', '.join(asked)}")


def _asked_with(settings: GraderSettings, model: str) -> str:
    """Which form of request the endpoint takes, as graders learnt it; empty where none can be."""
    if missing_packages("streams"):
        return ""
    from ragwheel.grading.endpoint.memory import recall
    from ragwheel.grading.endpoint.request import RequestShape

    wished = RequestShape(temperature=settings.llm_temperature)
    learnt = recall(settings.llm_cache_dir, settings.llm_base_url, model, wished)
    if learnt is None:
        return f" (nothing was refused yet: {wished})"
    return f" ({learnt.taken}; learnt {learnt.learnt_at:%Y-%m-%d})"


def _nobody_asked(subject: str, fix: str) -> Finding:
    return warn(subject, "no stack is running and no address is set", fix)
