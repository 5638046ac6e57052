"""Every setting of every process, read from the environment once, in `main`.

Names are `RAGWHEEL_` + the field's name in upper case. A setting of another process is ignored;
a name that no process knows is an error, because a misspelt setting that does nothing is worse
than a process that does not start. docs/settings.md is printed from here and compared in a test.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from ragwheel.schemas import limits
from ragwheel.schemas.errors import ConfigError

PREFIX = "RAGWHEEL_"
#: Read by the launcher and the test suite, not by a process of the product.
TOOL_VARIABLES: Mapping[str, str] = {
    "RAGWHEEL_CACHE_DIR": "Where Kafka's jars are kept, instead of the user's cache directory.",
    "RAGWHEEL_CI": "Set in CI: a test that cannot run is an error instead of a skip.",
    "RAGWHEEL_HOME": "Folder of the local stack, instead of `./.ragwheel`.",
    "RAGWHEEL_TEST_CLICKHOUSE_URL": "A real ClickHouse to run the contract tests against.",
}

_Settings = TypeVar("_Settings", bound="Settings")


class Settings(BaseSettings):
    """Base of all: frozen, from the environment or from keyword arguments."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        extra="forbid",
        env_ignore_empty=True,
        env_parse_none_str="none",
    )


class KafkaSettings(Settings):
    """How to reach Kafka."""

    kafka_bootstrap_servers: str = Field(
        "localhost:9092", description="Brokers to start from: host:port, comma-separated."
    )
    topic_prefix: str = Field("ragwheel.", description="Put before each logical topic name.")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="As in Kafka's `security.protocol`."
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="Used when the protocol is SASL_*."
    )
    kafka_sasl_username: str = Field("", description="SASL user name.")
    kafka_sasl_password: SecretStr = Field(SecretStr(""), description="SASL password.")
    kafka_ssl_ca_location: str = Field("", description="CA bundle for SSL; empty: the system's.")


class ClickHouseSettings(Settings):
    """How to reach ClickHouse."""

    clickhouse_url: str = Field(
        "http://default:@localhost:8123/ragwheel",
        description="http(s)://user:password@host:port/database. The database is created.",
    )
    clickhouse_replicated: bool = Field(
        False,
        description="Create Replicated* engines (self-managed cluster with a Replicated database).",
    )


class MetricsSettings(Settings):
    """Where /metrics is served."""

    metrics_host: str = Field("127.0.0.1", description="Address of the /metrics listener.")
    metrics_port: int = Field(
        0, ge=-1, le=65_535, description="Port of /metrics; 0 picks a free one, -1 turns it off."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Threshold of the process's log."
    )


class IntakeGroupSettings(Settings):
    """Whose commits say what has landed."""

    intake_group: str = Field("ragwheel-intake", description="Consumer group of intake.")


class GraderGroupSettings(Settings):
    """Whose commits say what was graded."""

    grader_group: str = Field("ragwheel-grader", description="Consumer group of the grader.")


class RedactionSettings(Settings):
    """What is changed in texts before they go on."""

    redact_rules: str = Field(
        "",
        description="TOML file of redaction rules, or `common` for those shipped with ragwheel; "
        "empty: none.",
    )
    redact_function: str = Field(
        "", description="module:function from text to text, called after the rules; empty: none."
    )


class ClientSettings(KafkaSettings, RedactionSettings):
    """The emitting service. Defaults favour the service over the data."""

    service: str = Field("", description="`service.name`; put on every event.")
    client_enabled: bool = Field(True, description="false: accept calls, send nothing.")
    client_send_text: bool = Field(
        True,
        description="false: retrievals carry content hashes only; send each chunk once instead.",
    )
    client_queue_mib: int = Field(
        64, ge=1, le=1_024, description="Memory for unsent events; beyond it events are dropped."
    )
    client_flush_timeout_s: float = Field(
        5.0, ge=0, le=60, description="Longest wait at exit for unsent events."
    )
    client_message_timeout_s: float = Field(
        30.0, gt=0, le=300, description="How long an event is retried before it counts as failed."
    )


class SamplingSettings(Settings):
    """Which traffic is graded."""

    sample_rate: float = Field(
        0.05, ge=0, le=1, description="Share of queries to grade where no segment rate is set."
    )
    sample_rates: Annotated[dict[str, float], NoDecode] = Field(
        default_factory=dict,
        description='Rate per segment: "code=0.2,tables=1". Overrides RAGWHEEL_SAMPLE_RATE.',
    )
    grade_depth: int = Field(
        20,
        ge=1,
        le=limits.MAX_CANDIDATES,
        description="Candidates graded per retrieval, from the top.",
    )

    @field_validator("sample_rates", mode="before")
    @classmethod
    def _from_text(cls, rates: object) -> object:
        """Accept text, which is what an environment variable can hold."""
        if not isinstance(rates, str):
            return rates
        found: dict[str, float] = {}
        for pair in rates.split(","):
            segment, _, rate = pair.partition("=")
            try:
                found[segment.strip()] = float(rate)
            except ValueError:
                found[segment.strip()] = -1.0
            if not 0 <= found[segment.strip()] <= 1:
                raise ValueError(f"{pair!r} is not segment=rate with a rate in [0, 1]")
        return found


class IntakeSettings(
    KafkaSettings,
    ClickHouseSettings,
    MetricsSettings,
    IntakeGroupSettings,
    SamplingSettings,
    RedactionSettings,
):
    """The process that lands everything in ClickHouse and samples traffic."""

    intake_batch_rows: int = Field(
        10_000, ge=1, le=limits.MAX_BATCH_ROWS, description="Messages per insert at most."
    )
    intake_batch_mib: int = Field(
        32, ge=1, le=512, description="MiB of messages per insert at most; memory is about 5 times."
    )
    intake_batch_s: float = Field(
        1.0, gt=0, le=60, description="Seconds after which a smaller batch is inserted."
    )
    max_event_age_days: int = Field(
        150,
        ge=1,
        le=3_650,
        description="Older events are dead-lettered. Must stay below the tables' TTL (180 days), "
        "or they land only to vanish.",
    )
    max_event_ahead_s: int = Field(
        3_600, ge=0, le=86_400, description="Events further in the future are dead-lettered."
    )
    session_timeout_s: float = Field(
        45.0, ge=6, le=300, description="Consumer-group session; a dead worker is replaced after."
    )


class AccountsSettings(
    KafkaSettings, ClickHouseSettings, MetricsSettings, IntakeGroupSettings, GraderGroupSettings
):
    """The process that shows whether anything was lost."""

    accounts_refresh_s: float = Field(
        5.0, gt=0, le=3_600, description="Seconds between two looks at Kafka and the ledger."
    )


class GraderSettings(KafkaSettings, ClickHouseSettings, MetricsSettings, GraderGroupSettings):
    """The process that grades."""

    llm_base_url: str = Field(
        "https://api.openai.com/v1", description="Any OpenAI-compatible endpoint."
    )
    llm_api_key: SecretStr = Field(SecretStr(""), description="Its key. Required.")
    llm_model: str = Field("gpt-5.6-luna", description="Model that makes training labels.")
    judge_model: str = Field(
        "gpt-5.6-terra",
        description="Model that judges promotions; must not be the one that labels.",
    )
    llm_concurrency: int = Field(16, ge=1, le=512, description="LLM calls in flight per worker.")
    llm_timeout_s: float = Field(30.0, gt=0, le=600, description="Limit of one LLM call.")
    llm_deadline_s: float = Field(
        3_600.0, gt=0, le=86_400, description="Retries of one call end after this; then `failed`."
    )
    llm_temperature: float | None = Field(
        0.0, ge=0, le=2, description='Sampling temperature; "none" sends no such parameter.'
    )
    llm_passages_per_call: int = Field(10, ge=1, le=50, description="Passages graded in one call.")
    rubric_dir: Path | None = Field(
        None, description="Folder of rubric files; empty: the rubrics shipped with ragwheel."
    )
    daily_budget_usd: float = Field(
        0.0, ge=0, description="Spending limit per UTC day; 0 is no limit."
    )
    prices_file: Path | None = Field(
        None,
        description="TOML of prices, USD per 1M tokens, laid over those shipped with ragwheel.",
    )
    grader_window: int = Field(
        256, ge=1, le=10_000, description="Jobs read and not yet acknowledged, per worker."
    )
    grader_stop_s: float = Field(
        10.0, ge=0, le=600, description="Longest wait at the end for jobs under way."
    )
    session_timeout_s: float = Field(
        45.0, ge=6, le=300, description="Consumer-group session; a dead worker is replaced after."
    )


class TrainerSettings(KafkaSettings, ClickHouseSettings, MetricsSettings):
    """The process that trains, proves and promotes."""

    base_model: str = Field(
        "sentence-transformers/all-MiniLM-L6-v2",
        description="Hugging Face id or folder of the embedding model to improve.",
    )
    model_dir: Path = Field(Path(".ragwheel/models"), description="Where trained models are kept.")
    vector_cache_dir: Path = Field(
        Path(".ragwheel/vectors"), description="Where embeddings are cached."
    )
    train_min_queries: int = Field(
        1_000,
        ge=30,
        description="Train when this many queries with a relevant label are new since last time.",
    )
    train_interval_s: float = Field(
        300.0, gt=0, description="Seconds between looks at the threshold."
    )
    train_epochs: int = Field(3, ge=1, le=100, description="Passes over the triplets.")
    train_seed: int = Field(17, ge=0, description="Seed of everything random in training.")
    max_seq_length: int = Field(128, ge=16, le=8_192, description="Tokens per text.")
    gate_share: float = Field(
        0.25, gt=0, lt=0.9, description="Share of queries held out for the promotion gate."
    )
    gate_min_queries: int = Field(
        200, ge=20, description="Below this many judged queries the verdict is `shadow` at best."
    )
    gate_max_queries: int = Field(
        1_000,
        ge=20,
        description="At most this many held-out queries are judged per gate, drawn at random.",
    )
    judge_timeout_s: float = Field(
        900.0, gt=0, description="How long to wait for the judge's labels."
    )
    judge_depth: int = Field(
        20, ge=1, le=200, description="Top-k of each system that is pooled and judged."
    )


PROCESS_SETTINGS: Mapping[str, type[Settings]] = {
    "client": ClientSettings,
    "intake": IntakeSettings,
    "accounts": AccountsSettings,
    "grader": GraderSettings,
    "trainer": TrainerSettings,
}


def load(settings: type[_Settings], **overrides: Any) -> _Settings:
    """Read `settings` from the environment; `overrides` win.

    Raises:
        ConfigError: a value is wrong, or a `RAGWHEEL_` variable is known to no process. The message
            names the variable and what it must be.
    """
    known = known_variables()
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in known:
            bare = [variable.removeprefix(PREFIX) for variable in known]
            close = difflib.get_close_matches(name.removeprefix(PREFIX), bare, n=1)
            hint = f"; did you mean {PREFIX}{close[0]}?" if close else "; see docs/settings.md"
            raise ConfigError(f"{name} is not a setting of ragwheel{hint}")
    try:
        return settings(**overrides)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = str(first["loc"][0]) if first["loc"] else "?"
        info = settings.model_fields.get(field)
        shown = "its value" if info and info.annotation is SecretStr else repr(first["input"])
        about = f" ({info.description})" if info and info.description else ""
        raise ConfigError(f"{PREFIX}{field.upper()}: {shown}: {first['msg']}{about}") from None


def known_variables() -> frozenset[str]:
    """Every environment variable that some process reads."""
    return frozenset(name for _, name, _, _ in describe()) | frozenset(TOOL_VARIABLES)


def describe() -> Iterator[tuple[str, str, str, str]]:
    """(process, variable, default, description) of every setting, for the docs."""
    for process, settings in PROCESS_SETTINGS.items():
        for field, info in settings.model_fields.items():
            default = info.get_default(call_default_factory=True)
            shown = "" if isinstance(default, SecretStr) or default in (None, {}) else str(default)
            yield process, PREFIX + field.upper(), shown, info.description or ""
